// What this machine must allow for a fault to be real.
import { spawnSync } from 'node:child_process'
import { ClockShift } from './clock-shift.ts'
import type { TrialOptions } from './trial.ts'

/** What is missing for a cluster like this, as a person can mend it; undefined if nothing is. */
export function missing({ apart, ownClock, serverDisk, nodeDisk }: TrialOptions): string | undefined {
  if (apart && !works('unshare', '--net', 'sh', '-c', 'ip link && nft list ruleset')) {
    return 'needs root, iproute2 and nftables'
  }
  if (ownClock && !ClockShift.isPossible) return 'needs libfaketime (apt-get install faketime)'
  if ((serverDisk || nodeDisk) && !works('unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt')) {
    return 'needs root, and to be allowed to mount'
  }
  return undefined
}

function works(program: string, ...words: string[]): boolean {
  return spawnSync(program, words, { stdio: 'ignore' }).status === 0
}
