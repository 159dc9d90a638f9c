"""The spelling of short messages."""

import re
from random import Random

from trajet.corpus.noise.basis import Noise, like, outside_places
from trajet.corpus.noise.letters import strip_accents

# Of each occurrence: nobody shortens everything.
SHARE = 0.7
# One word or phrase a line, then the spellings it may get.
_LINES = """
pour: pr
je: j
que: ke, q
qui: ki
quoi: koi
quel: kel
quelle: kel
quels: kels
quelles: kels
quand: qd, kan
quelqu'un: qqn, qq1
quelque chose: qqch
quelques: qq
qu'est-ce que: keske, kesk
est-ce que: esk
parce que: pcq, paske
pourquoi: pk, pq
comment: cmt, komen
combien: cb, cmb
demain: dem1, 2m1, dmain
aujourd'hui: ajd, auj
maintenant: mtn, mnt
tout de suite: tt de suite
toujours: tjs, tjrs
jamais: jms
longtemps: lgtps
temps: tps
semaine: sem
week-end: wk, we
après-midi: aprem, aprm
samedi: sam
dimanche: dim
vendredi: vdd
minutes: min, mn
minute: min, mn
heures: h
heure: h
c'est: c, cé
c'était: ct
ça: sa
ça va: cv
il y a: ya
y a-t-il: ya
il faut: fo, faut
j'ai: g, jai
j'arrive: jarive
j'aimerais: jaimerai
je suis: chui, jsuis
je sais: jsé
je ne sais pas: jsp
je veux: jveux, jve
je voudrais: jvoudrais
je vais: jvais, jvé
je pars: jpars
je dois: jdois
je peux: jpeux
je cherche: jcherche
tu as: ta
tu es: t
tu peux: tpeux
s'il te plaît: stp
s'il vous plaît: svp
salut: slt
bonjour: bjr
bonsoir: bsr
coucou: cc
merci: mci, mrc
d'accord: dac, ok
désolé: dsl
désolée: dsl
bisous: bsx, biz
beaucoup: bcp
vraiment: vrmt
trop: tro
aussi: ossi, oci
alors: alr
même: mm
bien: b1
rien: r1
plus: +
moins: -
dans: ds
avec: ac, avc
sans: ss
depuis: dpuis, dps
jusqu'à: jusqua, jusk'à
jusqu'au: jusko, jusquau
vous: vs
nous: ns
votre: vtr
notre: ntr
tout: tt
toute: tte
tous: ts
toutes: ttes
un: 1
deux: 2
personne: pers
personnes: pers
problème: pb
message: msg
téléphone: tel
numéro: num
rendez-vous: rdv
anniversaire: anniv
vacances: vac
université: univ
appartement: appart
réservation: résa
réserver: réserv
information: info
informations: infos
aller-retour: ar, A/R
correspondance: corresp
départ: dép
euros: e, eur
prochain: proch
prochaine: proch
environ: env
possible: poss
"""


def _read(lines: str) -> dict[str, list[str]]:
    spellings = {}
    for line in lines.strip().splitlines():
        full, _, short = line.partition(": ")
        for key in (full, strip_accents(full)):
            spellings.setdefault(key, short.split(", "))
    return spellings


def _pattern(full: str) -> str:
    return re.escape(full).replace("'", "['’]")


SPELLINGS = _read(_LINES)
_ANY = re.compile(
    # Longest first: "je ne sais pas" before "je". Not inside "plus-value", "l'un" or "qu'un".
    rf"(?<![\w'’-])(?:{'|'.join(_pattern(full) for full in sorted(SPELLINGS, key=len, reverse=True))})(?![\w'’-])",
    re.IGNORECASE,
)


def _shorten(text: str, rng: Random) -> str:
    def short(match: re.Match) -> str:
        if rng.random() >= SHARE:
            return match[0]
        return like(match[0], rng.choice(SPELLINGS[match[0].lower().replace("’", "'")]))

    return _ANY.sub(short, text)


NOISES: dict[str, Noise] = {"sms": outside_places(_shorten)}
