import { TroopError } from '../base/errors.ts'
import { familyOf } from './keys.ts'

/**
 * What the datastore holds under a key can't be told now: answered as 503, never as absence. The message names the
 * family of the key alone, since what follows may be a secret: `keyauth_credentials:<key>`.
 */
export class Unknown extends TroopError {
  constructor(key: string, cause?: unknown) {
    super('unknown', `can't tell what the datastore holds for ${familyOf(key)}`, { cause })
  }
}

/** The whole of a lookup, waits and repeats included, took longer than it may. */
export class LookupTimeout extends TroopError {
  constructor(limitMs: number) {
    super('lookup-timeout', `no answer within ${limitMs} ms`)
  }
}

/** The datastore is known not to answer, so it was not asked: to callers the same as having asked in vain. */
export class NotAsked extends TroopError {
  constructor() {
    super('datastore-away', 'the datastore does not answer')
  }
}

/** While everything was loaded, another history was found: it is loaded next, and nothing is lost by it. */
export class LoadOvertaken extends TroopError {
  constructor() {
    super('load-overtaken', 'another load began before this one was done')
  }
}

/** An audit took longer than its caller would wait. What it had found wrong by then is repaired, and is in the log. */
export class AuditTimeout extends TroopError {
  constructor(limitMs: number, compared: number) {
    super('audit-timeout', `the audit was not done within ${limitMs} ms (keys compared: ${compared})`, {
      hint: 'allow it more time',
    })
  }
}

/** A worker lost its agent, or was given up by it: it can't know any more what changed. */
export class LinkLost extends TroopError {
  constructor(reason: string) {
    super('link-lost', `this worker hears no changes any more: ${reason}`)
  }
}
