"""Words of travel requests and what else could stand in their place."""

import re
from random import Random

from trajet.corpus.noise.basis import Noise, like, outside_places

# Same gender and number, and a vowel for a vowel: "l'", "du", "un" before the word stay right.
# One word for one. No word that tells departure from arrival, a request from a story, or a correction.
_LINES = """
billet: ticket
billets: tickets
ticket: billet
tickets: billets
trajet: voyage, parcours
trajets: voyages, parcours
parcours: trajet
places: sièges
valises: malles
bagages: sacs
bus: car
voiture: bagnole, caisse
bagnole: voiture
voyageurs: passagers
passagers: voyageurs
prix: tarif, montant
tarif: prix
tarifs: prix
cher: coûteux
chère: coûteuse
rapide: commode
rapidement: vite
vite: rapidement
commode: pratique
pratique: commode
facile: simple
simple: facile
facilement: simplement
simplement: facilement
disponible: libre
disponibles: libres
libre: disponible
libres: disponibles
possible: faisable
voudrais: souhaiterais, veux
souhaiterais: voudrais
souhaite: désire
désire: souhaite
veux: voudrais
voudrait: souhaiterait
voulons: souhaitons
souhaitons: désirons
voudrions: souhaiterions
aimerais: adorerais, apprécierais
aimerait: adorerait, apprécierait
cherche: recherche
cherchons: recherchons
cherchent: recherchent
trouver: dénicher
trouvez: dénichez
trouve: déniche
dénicher: trouver
réserver: commander, prendre
réservez: commandez, prenez
acheter: obtenir
donner: fournir
donnez: fournissez
montrer: présenter
montrez: présentez
montre: présente
proposer: suggérer
proposez: suggérez
propose: suggère
indiquer: expliquer, annoncer
indiquez: expliquez, annoncez
expliquer: indiquer
calculer: préparer
calcule: prépare
planifier: prévoir, préparer
préparer: planifier
organiser: arranger
pense: compte
pensons: comptons
bonjour: bonsoir, salut
bonsoir: bonjour
salut: coucou, bonjour
coucou: salut
hello: hey
vraiment: franchement
aussi: également
également: aussi
souvent: régulièrement
bientôt: prochainement
mère: maman
maman: mère
père: papa
papa: père
frère: frangin
sœur: frangine
mari: conjoint
femme: compagne
copain: pote
copains: potes
collègues: confrères
patron: boss
bureau: boulot
boulot: travail, bureau
travail: boulot
réunion: séance
parfait: nickel
super: génial
génial: super
"""

SYNONYMS = {
    full: other.split(", ") for full, _, other in (line.partition(": ") for line in _LINES.strip().splitlines())
}
_WORD = re.compile(r"(?<![\w-])[^\W\d_]+(?![\w'’-])")


def synonym(word: str, rng: Random) -> str:
    """Another word for this one, written as large; the word itself where the list has none."""
    others = SYNONYMS.get(word.lower())
    return like(word, rng.choice(others)) if others else word


def synonyms(share: float) -> Noise:
    """Replace each word of the list with probability `share`, in the text between places."""

    def change(text: str, rng: Random) -> str:
        return _WORD.sub(lambda match: synonym(match[0], rng) if rng.random() < share else match[0], text)

    return outside_places(change)


NOISES: dict[str, Noise] = {"synonyms": synonyms(0.1)}
