#!/usr/bin/env bash
# Scores a file from cron, which mails everything that is printed: nightly.sh INPUT OUTPUT [OPTION OF score]...
# Name your model and the column of the texts, as in: nightly.sh reviews.csv scores.csv --model /srv/models/ours --text body
# The exit code is 0 if OUTPUT was published, otherwise that of score.
set -uo pipefail

usage='nightly.sh INPUT OUTPUT [OPTION OF score]...'
input=${1:?$usage}
output=${2:?$usage}
shift 2
tries=${TRIES:-3}
pause=${PAUSE:-300} # seconds

# Defaults of every night; the options above and variables that are set already come first.
: "${SCORE_MIN_ROWS:=1}" # an empty input publishes nothing
: "${SCORE_MAX_DRIFT:=0.1}"
: "${SCORE_SUMMARY:=$output.run.json}" "${SCORE_REPORT:=$output.run.html}"
: "${SCORE_CACHE:=$output.cache.sqlite}" "${SCORE_CACHE_MAX_ROWS:=10000000}"
export SCORE_MIN_ROWS SCORE_MAX_DRIFT SCORE_SUMMARY SCORE_REPORT SCORE_CACHE SCORE_CACHE_MAX_ROWS

messages=$(mktemp) || exit 1
trap 'rm -f "$messages"' EXIT

report() { printf '%s: %s\n' "$output" "$1" >&2; }
is_missing() { [[ $input != *://* ]] && ! [ -e "$input" ] && ! compgen -G "$input" > /dev/null; }

for ((try = 1; ; try++)); do
  score "$input" -o "$output" "$@" 2> "$messages"
  code=$?
  if ((code == 0)); then
    grep -E '^(Note|Warning): ' "$messages" >&2
    ((try == 1)) || report "try $try succeeded"
    exit 0
  fi
  # What happened, and whether finished rows are kept. Only the progress is left out.
  grep -v '^scoring: ' "$messages" >&2
  again=false
  case $code in
    3)
      report "published with warnings, see above and $SCORE_REPORT"
      exit 0
      ;;
    2)
      if is_missing; then # perhaps late
        again=true
      else
        report "the command is invalid; fix it before the next run"
      fi
      ;;
    5) report "the model or the GPU was refused" ;;
    126 | 127) report "score cannot be started: is its folder in PATH?" ;;
    130 | 143) report "stopped" ;;
    141) report "the reader of the output closed it early" ;;
    *) again=true ;; # 1: disk full, a read error, another run; 4: the input, perhaps incomplete; 137: killed, perhaps out of memory
  esac
  $again || exit "$code"
  if ((try >= tries)); then
    report "failed with exit code $code after $tries tries"
    exit "$code"
  fi
  sleep "$pause" # then the same command, which resumes if rows were finished
done
