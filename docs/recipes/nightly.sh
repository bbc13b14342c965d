#!/usr/bin/env bash
# Scores a file from cron, which mails everything that is printed: nightly.sh INPUT OUTPUT
# The exit code is 0 if OUTPUT was published, otherwise that of score.
set -uo pipefail

input=${1:?nightly.sh INPUT OUTPUT}
output=${2:?nightly.sh INPUT OUTPUT}
tries=${TRIES:-3}
pause=${PAUSE:-300} # seconds

report() { printf '%s: %s\n' "$output" "$1" >&2; }

for ((try = 1; ; try++)); do
  if [ -e "$input" ]; then
    score "$input" -o "$output" --quiet --max-drift 0.1 --summary "$output.run.json" --report "$output.run.html" \
      --cache "$output.cache.sqlite" --cache-max-rows 10000000
    code=$?
  else
    report "the input $input does not exist"
    code=4
  fi
  case $code in
    0 | 3)
      ((try == 1)) || report "try $try succeeded"
      ((code == 0)) || report "published with warnings: records were rejected, or the data has drifted; see $output.run.html"
      exit 0
      ;;
    2) report "the command is invalid, see above; fix it before the next run" ;;
    5) report "the model or the GPU was refused, see above" ;;
    126 | 127) report "score cannot be started: is its folder in PATH?" ;;
    130 | 143) report "stopped; the next run resumes where this one ended" ;;
    141) report "the reader of the output closed it early" ;;
    *) # 1: disk full, a read error, another run; 4: the input, perhaps incomplete; 137: killed, perhaps out of memory
      if ((try < tries)); then
        sleep "$pause"
        continue # resumes where the last try stopped
      fi
      report "failed with exit code $code after $tries tries; finished rows are kept, and the next run resumes"
      ;;
  esac
  exit "$code"
done
