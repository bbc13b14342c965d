#!/usr/bin/env bash
# Scores a file: nightly.sh INPUT OUTPUT. For cron, which mails what is printed here; ends with 0 if OUTPUT is there.
set -uo pipefail

input=${1:?nightly.sh INPUT OUTPUT}
output=${2:?nightly.sh INPUT OUTPUT}
tries=${TRIES:-3}
pause=${PAUSE:-300} # seconds

tell() { printf '%s: %s\n' "$output" "$1" >&2; }

for ((try = 1; ; try++)); do
  score "$input" -o "$output" --quiet --max-drift 0.1 --summary "$output.run.json" --report "$output.run.html"
  code=$?
  case $code in
    0) exit 0 ;;
    3)
      tell "published, but look: records were rejected, or the data has drifted; see $output.run.html"
      exit 0
      ;;
    2) tell "the command is wrong, and will be tomorrow: mend it" ;;
    4) tell "nothing was published: the input cannot be used, see above; ask who made it" ;;
    5) tell "the model or the GPU was refused, see above" ;;
    130 | 143) tell "stopped; the next run goes on where this one was" ;;
    141) tell "whoever read the output went away" ;;
    *) # 1: disk full, a read error, another run on the same output; 137: killed, perhaps for its memory
      if ((try < tries)); then
        sleep "$pause"
        continue # goes on where it stopped
      fi
      tell "given up after $tries tries with exit code $code; what was done is kept, and the next run goes on"
      ;;
  esac
  exit "$code"
done
