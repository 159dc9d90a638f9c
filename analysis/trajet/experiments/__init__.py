"""Many runs: variants, one run, studies, statistics, the rate range test."""
