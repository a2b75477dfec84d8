// What all nodes say when they are asked the same: how far they are, and whom they reach.
import { z } from 'zod'
import { type Clock, within } from '../base/clock.ts'
import { codeOf, describeError } from '../base/errors.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import type { LastTimes } from './delivery/propagation.ts'
import type { Member, MemberStatus } from './membership/member.ts'
import type { RegisteredNode } from './membership/registry.ts'
import type { Peer } from './transport/transport.ts'

/** What one node says of itself. Wire format: members are only ever added. */
const nodeReport = z.object({
  position: z.int(),
  digest: z.string(),
  /** Since when it may be missing something, in ms; null when it never was certain. */
  freshnessMs: z.number().nullable(),
  /** Milliseconds from commit to application of the newest change that came by each path. */
  propagationMs: z.record(z.string(), z.number()),
})
export type NodeReport = z.infer<typeof nodeReport>

/** One direction of one pair, as its first node found it. Wire format: members are only ever added. */
const link = z.object({
  to: z.string(),
  /** Null: it does not answer. */
  roundTripMs: z.number().nullable(),
  /** Why not. */
  error: z.string().exactOptional(),
})
const links = z.array(link)
export type Link = z.infer<typeof link>

/** How far one node is. */
export interface NodePosition {
  readonly name: string
  readonly address: string
  readonly status: MemberStatus
  /** What it says itself, or what it had written to the datastore last; null when neither is known. */
  readonly applied: Position | null
  /** Events that it has not applied; null like `applied`. */
  readonly lag: number | null
  /** Milliseconds since it last was certain to miss nothing; null when it does not answer, or never was. */
  readonly freshnessMs: number | null
  /** Milliseconds since its last heartbeat in the datastore; null when that is away, or has no row of it. */
  readonly silentMs: number | null
  readonly propagationMs: LastTimes
}

export interface Positions {
  /** The newest event: of the log, or while the datastore is away the newest that any node has. */
  readonly head: Position
  readonly digest: string
  readonly members: readonly NodePosition[]
}

/** What one node found of the others. */
export interface Reach {
  readonly name: string
  readonly address: string
  readonly links: readonly Link[]
}

export interface SurveyParts {
  /** All that this node knows of, itself included. */
  readonly members: () => readonly Member[]
  readonly self: () => string
  readonly peer: (name: string) => Peer | undefined
  /** Rows of the nodes. @throws {DatastoreAway} */
  readonly rows: () => Promise<readonly RegisteredNode[]>
  readonly head: () => Promise<Stamp>
  readonly report: () => NodeReport
  /** Holds what this node serves against the datastore; the answer is passed on as it is. */
  readonly verify: (limitMs: number) => Promise<unknown>
  readonly clock: Clock
}

export const surveyMethods = { report: 'report', reach: 'reach', verify: 'verify', ping: 'ping' } as const

/** Within a site an answer takes milliseconds, and who does not give one is shown as what it is. */
const answerTimeoutMs = 1000
/** Of a node that pings all others in turn. */
const reachTimeoutMs = 2000

export class Survey {
  readonly #parts: SurveyParts

  constructor(parts: SurveyParts) {
    this.#parts = parts
  }

  /** Answers another node's question; undefined when it is none of these. */
  answer(method: string, params: unknown): unknown {
    switch (method) {
      case surveyMethods.report:
        return this.#parts.report()
      case surveyMethods.reach:
        return this.#links()
      case surveyMethods.verify:
        return this.#parts.verify(z.object({ limitMs: z.number() }).parse(params).limitMs)
      case surveyMethods.ping:
        return {}
      default:
        return undefined
    }
  }

  async positions(): Promise<Positions> {
    const [head, rows, reports] = await Promise.all([
      this.#parts.head().catch(() => undefined),
      this.#parts.rows().catch(() => []),
      this.#ask(surveyMethods.report, undefined, answerTimeoutMs),
    ])
    const said = new Map(
      [...reports].map(([name, answer]) => [
        name,
        'error' in answer ? undefined : nodeReport.parse(answer.value),
      ]),
    )
    const known = [...said.values()].filter((report) => report !== undefined)
    const newest = known.reduce<Stamp | undefined>(
      (most, report) => (most && most.position >= report.position ? most : report),
      head,
    )
    const { position: most, digest } = newest ?? { position: 0, digest: '' }
    const members = this.#parts.members().map(({ name, address, status }): NodePosition => {
      const report = said.get(name)
      const row = rows.find((one) => one.name === name)
      const applied = report?.position ?? row?.applied ?? null
      return {
        name,
        address,
        status,
        applied,
        lag: applied === null ? null : Math.max(0, most - applied),
        freshnessMs: report?.freshnessMs ?? null,
        silentMs: row?.silentMs ?? null,
        propagationMs: report?.propagationMs ?? {},
      }
    })
    return { head: most, digest, members }
  }

  /** Every pair in both directions, among the nodes that are registered or known and have not left. */
  async reachability(): Promise<readonly Reach[]> {
    const [expected, answers] = await Promise.all([
      this.#expected(),
      this.#ask(surveyMethods.reach, undefined, reachTimeoutMs),
    ])
    return [...expected].map(([name, address]) => {
      const answer = answers.get(name) ?? stranger
      const own = 'error' in answer ? [] : links.parse(answer.value)
      const missing = 'error' in answer ? `it could not be asked: ${answer.error}` : 'it does not know it'
      const others = [...expected.keys()].filter((other) => other !== name)
      return {
        name,
        address,
        links: others.map(
          (to) => own.find((one) => one.to === to) ?? { to, roundTripMs: null, error: missing },
        ),
      }
    })
  }

  /** What each node found, by name, of the nodes that are registered or known and have not left. */
  async verify(limitMs: number): Promise<ReadonlyMap<string, Answer>> {
    const [expected, answers] = await Promise.all([
      this.#expected(),
      this.#ask(surveyMethods.verify, { limitMs }, limitMs + answerTimeoutMs),
    ])
    return new Map([...expected.keys()].map((name) => [name, answers.get(name) ?? stranger]))
  }

  /** Addresses, by name, of the nodes that are registered or known and have not left. */
  async #expected(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#parts.rows().catch(() => [])
    const left = new Set(rows.filter(({ status }) => status === 'left').map(({ name }) => name))
    const expected = new Map<string, string>()
    for (const { name, address, status } of this.#parts.members())
      if (status !== 'left' && !left.has(name)) expected.set(name, address)
    for (const { name, address, status, expired } of rows)
      if (status !== 'left' && !expired) expected.set(name, address)
    return expected
  }

  /** Asks all members that have not left, this node included. */
  async #ask(method: string, params: unknown, limitMs: number): Promise<Map<string, Answer>> {
    const present = this.#parts.members().filter(({ status }) => status !== 'left')
    const answers = present.map(async ({ name }): Promise<[string, Answer]> => {
      try {
        return [name, { value: await this.#askOne(name, method, params, limitMs) }]
      } catch (error) {
        return [name, { error: whyNot(error) }]
      }
    })
    return new Map(await Promise.all(answers))
  }

  async #askOne(name: string, method: string, params: unknown, limitMs: number): Promise<unknown> {
    const { self, peer, clock } = this.#parts
    if (name === self()) {
      const answer = Promise.resolve(this.answer(method, params))
      return within(clock, limitMs, answer, () => new Error(`no answer within ${limitMs} ms`))
    }
    const target = peer(name)
    if (!target) throw new Error('no connection to it')
    return target.call(method, params, limitMs)
  }

  /** What this node reaches, by asking each of the others for an answer at the same time. */
  async #links(): Promise<Link[]> {
    const { members, self, peer, clock } = this.#parts
    const others = members().filter(({ name, status }) => name !== self() && status !== 'left')
    return Promise.all(
      others.map(async ({ name: to }) => {
        const sentAt = clock.monotonic()
        try {
          const target = peer(to)
          if (!target) throw new Error('no connection to it')
          await target.call(surveyMethods.ping, undefined, answerTimeoutMs)
          return { to, roundTripMs: clock.monotonic() - sentAt }
        } catch (error) {
          return { to, roundTripMs: null, error: whyNot(error) }
        }
      }),
    )
  }
}

export type Answer = { readonly value: unknown } | { readonly error: string }

/** Of a node that is registered and that this one has no connection to. */
const stranger: Answer = { error: 'this node does not know it' }

function whyNot(error: unknown): string {
  return codeOf(error) === 'rpc-timeout' ? 'it does not answer' : describeError(error)
}
