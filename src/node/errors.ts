// What can keep a node from starting, besides what its parts raise.
import { codeOf, TroopError } from '../base/errors.ts'

/** The working directory is not one, has no room, or this user may not use it. */
export class WorkingDirUnusable extends TroopError {
  constructor(path: string, why: string, cause?: unknown) {
    const isFull = ['ENOSPC', 'EDQUOT'].includes(codeOf(cause) ?? '')
    super('working-dir-unusable', `working directory ${path} ${isFull ? 'has no room left' : why}`, {
      cause,
      hint: isFull
        ? 'make room on its disk, or in the quota of this user, or set working_dir to a directory elsewhere'
        : 'set working_dir to a directory that this user can read, write and enter',
    })
  }
}

/** Another process runs a node in this working directory. */
export class NodeRunning extends TroopError {
  constructor(pid: number, pidFile: string) {
    super('node-running', 'Troop is currently running', {
      hint: `process ${pid} holds ${pidFile}: stop it, or set another working_dir`,
    })
  }
}

/** A listener's address can't be bound. */
export class PortTaken extends TroopError {
  constructor(setting: string, address: string, code: string, cause: unknown) {
    const why = code === 'EADDRINUSE' ? 'is in use by another program' : 'cannot be bound'
    super('port-taken', `${setting}: ${address} ${why}`, {
      cause,
      hint:
        code === 'EADDRINUSE'
          ? `stop that program, or set ${setting} to a free port`
          : `set ${setting} to an address of this machine`,
    })
  }
}

/** A file that is read, as people know it. */
export interface NamedFile {
  /** What names it, or the directory that it is in. */
  readonly setting: string
  readonly path: string
  /** What to do when it can't be used, if nothing better is known. */
  readonly hint?: string
}

/** A certificate, its key, or a file of authorities is not what it must be. */
export class CertificateUnusable extends TroopError {
  readonly file: NamedFile
  readonly why: string

  constructor(
    file: NamedFile,
    why: string,
    options: { readonly cause?: unknown; readonly hint?: string } = {},
  ) {
    const hint = file.hint === undefined ? {} : { hint: file.hint }
    super('certificate-unusable', `${file.setting}: ${file.path} ${why}`, { ...hint, ...options })
    this.file = file
    this.why = why
  }
}

/** The datastore has configurations of plugins that this node does not have: requests to those APIs would fail. */
export class PluginMissing extends TroopError {
  constructor(name: string) {
    super(
      'plugin-missing',
      `You are using a plugin that has not been enabled in the configuration: ${name}`,
      {
        hint: `add ${name} to custom_plugins, or delete its configurations`,
      },
    )
  }
}

/** A plugin's entity is asked for by other keys than this node knows it by, and has cached its rows under. */
export class LookupsChanged extends TroopError {
  constructor(entity: string) {
    super(
      'lookups-changed',
      `the lookups of the entity ${entity} are not those that this node started with`,
      {
        hint: 'restart the node: what it holds in memory is kept up to date by them',
      },
    )
  }
}

/** A worker thread ended, or could not do what it was told, while it was waited for. */
export class WorkerFailed extends TroopError {
  constructor(message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(
      'worker-failed',
      message,
      options.hint === undefined ? { cause: options.cause } : { cause: options.cause, hint: options.hint },
    )
  }
}

/** Requests could not be counted, or it is not known whether they were. */
export class CountersAway extends TroopError {
  constructor(message: string, cause?: unknown) {
    super('counters-away', message, { cause })
  }
}

/** What a plugin asked for could not be written, or it is not known whether it was. */
export class WriteFailed extends TroopError {
  /** The code of what failed, if it has one. */
  readonly reason: string | undefined

  constructor(message: string, reason: string | undefined) {
    super('write-failed', message)
    this.reason = reason
  }
}

/** Somebody told the node to stop before it served. */
export class StartInterrupted extends TroopError {
  constructor() {
    super('start-interrupted', 'stopped before it served')
  }
}
