// What a command can fail at that is nobody's fault below it.
import { TroopError } from '../src/base/errors.ts'

export class NotRunning extends TroopError {
  constructor(workingDir: string) {
    super('not-running', 'Troop is not running', {
      hint: `there is no node in ${workingDir}: run "troop start", or name its configuration with --config`,
    })
  }
}

/** The node in the background ended, or did not serve in time. */
export class CouldNotStart extends TroopError {
  constructor(message: string, hint: string) {
    super('could-not-start', message, { hint })
  }
}

/** Signals were sent and the process is still there. */
export class WouldNotStop extends TroopError {
  constructor(pid: number) {
    super('would-not-stop', `process ${pid} did not end, not even when it was killed`, {
      hint: `it may wait for a disk: look at it with "ps -o pid,stat,wchan -p ${pid}"`,
    })
  }
}

/** A question was asked and standard input ended. */
export class NoAnswer extends TroopError {
  constructor() {
    super('no-answer', 'nobody answered', { hint: 'use --yes where nobody can' })
  }
}

/** No node of the cluster, present or past, has the name. */
export class NodeUnknown extends TroopError {
  constructor(name: string) {
    super('node-unknown', `there is no node ${name} in this cluster`, { hint: 'troop cluster members' })
  }
}

/** What a new plugin was to be called. */
export class NameRefused extends TroopError {
  constructor(name: string, fault: string) {
    const slug = name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
    const isOther = slug !== '' && slug !== name
    super('name-refused', `${JSON.stringify(name)} cannot be the name of a plugin: ${fault}`, {
      hint: isOther ? `${slug} can` : 'choose another one, office-hours for instance',
    })
  }
}

/** Something is there where a folder was to be made. */
export class WouldOverwrite extends TroopError {
  constructor(path: string) {
    super('would-overwrite', `${path} is there already, and is left as it is`, {
      hint: 'choose another name, or another --directory',
    })
  }
}

/** There is nothing at that path. */
export class NothingToTest extends TroopError {
  constructor(path: string) {
    super('nothing-to-test', `there is no ${path}`, {
      hint: 'name the folder of a plugin, or one file with tests; "troop plugin create" makes both',
    })
  }
}
