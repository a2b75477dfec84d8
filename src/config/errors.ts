// What can be wrong with a configuration. A loader collects all faults before it raises any.
import { TroopError } from '../base/errors.ts'

/** One property that is not as it must be. */
export interface Fault {
  /** The setting's name, or what was written in its place. */
  readonly property: string
  /** What was expected, e.g. `must be a number`. */
  readonly reason: string
  /** What was given, as text; masked if it is a secret. Undefined where the reason says it, or nothing was given. */
  readonly value?: string | undefined
  /** Where it was given: `/etc/troop/troop.yml:12` or `TROOP_WORKERS`. */
  readonly place?: string | undefined
  /** What to do, where the reason does not say it. */
  readonly remedy?: string | undefined
}

/** A property that is accepted but does nothing. */
export interface Notice {
  readonly property: string
  readonly place: string
  readonly reason: string
}

/** The file that was named is not there or can't be read. */
export class ConfigurationMissing extends TroopError {
  /** @param cause  why it can't be read, if it is there */
  constructor(path: string, cause?: unknown) {
    super('configuration-missing', `No configuration file at: ${path}`, {
      cause,
      hint: 'name an existing file with --config, or none to use the defaults',
    })
  }
}

/** The file is not YAML, or not a list of properties. */
export class ConfigurationUnparsable extends TroopError {
  constructor(path: string, why: string) {
    super('configuration-unparsable', `Could not parse configuration at: ${path}`, { hint: why })
  }
}

/** One or more properties are wrong; all of them are listed. */
export class ConfigurationInvalid extends TroopError {
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    super('configuration-invalid', 'Invalid properties in given configuration file', {
      hint: 'correct the properties above; docs/configuration.md lists all of them',
    })
    this.faults = faults
  }
}

/** What is wrong with one property, on one line, and what to do about it, a line each. */
export interface FaultReport {
  /** `workers: must be a number (got "two", troop.yml:3)`; several reasons are joined by a comma. */
  readonly cause: string
  readonly remedies: readonly string[]
}

export function describeFaults(faults: readonly Fault[]): FaultReport[] {
  const byProperty = Map.groupBy(faults, (fault) => fault.property)
  return [...byProperty].map(([property, own]) => ({
    cause: `${property}: ${own.map(describeFault).join(', ')}`,
    remedies: own.flatMap(({ remedy }) => (remedy === undefined ? [] : [remedy])),
  }))
}

function describeFault({ reason, value, place }: Fault): string {
  const got = value === undefined ? [] : [`got ${value}`]
  const details = place === undefined ? got : [...got, place]
  return details.length === 0 ? reason : `${reason} (${details.join(', ')})`
}
