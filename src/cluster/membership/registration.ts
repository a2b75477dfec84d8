// How a node comes by its name: the row is its own from the registration on, unless another one lives under it.
import { isLoopback, parseAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { HelloRefused, LoopbackAdvertised, NameTaken } from '../errors.ts'
import type { Transport } from '../transport/transport.ts'
import type { Claim, NodeIdentity, RegisteredNode, Registry } from './registry.ts'

export interface RegistrationParts {
  readonly registry: Registry
  readonly transport: Pick<Transport, 'introduce' | 'dial'>
  /** Gives this node another name, kept over restarts. */
  readonly rename: () => Promise<string>
  readonly clock: Clock
  readonly logger: Logger
}

/** Whoever lives under the name answers in a round trip; a process that is stopped does not answer at all. */
const dialTimeoutMs = 1500
/** Others that register under the same name at the same time: each time one of them got there first. */
const attemptsMax = 5

export class Registration {
  readonly #parts: RegistrationParts
  /** The name that a renewal is to have, while its outcome is unknown: one more try is not to leave one more row. */
  #newName: string | undefined

  constructor(parts: RegistrationParts) {
    this.#parts = parts
  }

  /**
   * Registers a node that starts.
   * @throws {NameTaken} when another process lives under the name
   * @throws {LoopbackAdvertised} when there are nodes on other machines, which could not reach this one
   */
  async begin(identity: NodeIdentity): Promise<Claim> {
    const { registry } = this.#parts
    const stranded = beyondReach(identity, await registry.rows())
    if (stranded) throw new LoopbackAdvertised(identity.address, stranded.name)
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const row = await registry.find(identity.name)
      if (row && mayServe(row)) await this.#requireDead(identity, row)
      const life = await registry.register(identity, row?.life)
      if (life !== undefined) return { identity, life }
    }
    throw new NameTaken(identity.name, identity.address)
  }

  /** Begins a new life: under the same name where it is free, since it was this node's own. */
  async renew({ identity }: Claim, why: 'taken' | 'forced-out'): Promise<Claim> {
    const { registry, rename } = this.#parts
    if (why === 'taken') this.#newName ??= await rename()
    const renewed = { ...identity, name: this.#newName ?? identity.name }
    const row = await registry.find(renewed.name)
    const life = await registry.register(renewed, row?.life)
    if (life === undefined) throw new NameTaken(renewed.name, renewed.address)
    this.#newName = undefined
    return { identity: renewed, life }
  }

  /** One that was killed leaves a row that looks alive: whether it is, only its address can tell. */
  async #requireDead(identity: NodeIdentity, row: RegisteredNode): Promise<void> {
    const { transport, logger, registry, clock } = this.#parts
    const [own, its] = [parseAddress(identity.address), parseAddress(row.address)]
    if (!own || !its) return
    const { name } = identity
    transport.introduce({ name, life: 0, address: own })
    try {
      await transport.dial(its, dialTimeoutMs, { name })
    } catch (error) {
      if (error instanceof HelloRefused && error.reason === 'name-conflict')
        throw new NameTaken(name, row.address)
      // Refused by its machine, or answered by this very node: the port is free of it.
      const isGone =
        codeOf(error) === 'nothing-listens' || (error instanceof HelloRefused && error.reason === 'self')
      if (isGone) return
      logger.warn('what had this name before does not answer: taking the name over', {
        address: row.address,
        error,
      })
      if (row.refusesAfterMs === null) return
      // It may serve still, and must be counted for as long as it could.
      await registry.forceLeave(name)
      await clock.sleep(row.refusesAfterMs)
    }
  }
}

/** One that was forced out may, until it hears of it or can't be certain any more. */
function mayServe({ status, forced, expired }: RegisteredNode): boolean {
  return (status !== 'left' || forced) && !expired
}

/** A node that this one's address means nothing to: it is on another machine. */
export function beyondReach(
  { name, address }: Pick<NodeIdentity, 'name' | 'address'>,
  rows: readonly RegisteredNode[],
): RegisteredNode | undefined {
  if (!isLoopback(parseAddress(address)?.host ?? '')) return undefined
  return rows.find((row) => row.status !== 'left' && !row.expired && hostOf(row.name) !== hostOf(name))
}

/** A name is `<host>_<advertised address>_<id>`. */
function hostOf(name: string): string {
  return name.replace(/_[^_]*_[^_]*$/, '')
}
