// Clients that never stop: some ask through the proxies, some change things through the Admin APIs. All that they
// see goes into a history.
import http from 'node:http'
import { systemClock } from '../../../src/base/clock.ts'
import { codeOf } from '../../../src/base/errors.ts'
import type { JsonObject } from '../../../src/base/json.ts'
import type { NodeProcess } from '../../support/node-process.ts'
import type { Answer, History, Outcome, Write } from './history.ts'
import type { Register } from './registers.ts'

type Change = NonNullable<Register['change']>

export interface Place {
  readonly nodes: readonly NodeProcess[]
  /** Number of the node of that name. */
  numberOf(name: string): number | undefined
}

/** Between two requests of one client. */
const pauseMs = 30
const writePauseMs = 100
/** More than a node may take for anything: what is slower than this is as good as lost to a client. */
const requestLimitMs = 10_000
const writeLimitMs = 4000

export class Clients {
  readonly #place: Place
  readonly #history: History
  readonly #agent = new http.Agent({ keepAlive: true })
  readonly #stopping = new AbortController()
  readonly #loops: Promise<void>[] = []
  /** By register: its newest values that were answered as done. */
  readonly #newest: Map<string, readonly [newest: string, before: string]>
  readonly #numbers: Map<string, number>

  /** @param values  of each register, the newest first */
  constructor(place: Place, history: History, values: Map<string, readonly [string, string]>) {
    this.#place = place
    this.#history = history
    this.#newest = values
    this.#numbers = new Map()
  }

  start(registers: readonly Register[]): void {
    for (const [i, register] of registers.entries()) {
      if (register.change) this.#loops.push(this.#write(register, register.change, i))
      for (const node of this.#place.nodes.keys()) this.#loops.push(this.#ask(register, node))
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#loops)
    this.#agent.destroy()
  }

  /** One request through the proxy of a node. */
  async answer(register: Register, node: number, newest: string, before: string): Promise<Answer> {
    const target = register.target(newest, before)
    const sentAt = systemClock.monotonic()
    const base = { register: register.name, node, sentAt }
    const origin = (this.#place.nodes[node] as NodeProcess).proxy
    try {
      const { status, body } = await this.#send(`${origin}${target}`, 'GET', requestLimitMs)
      const why = status === 200 ? undefined : body
      return {
        ...base,
        endedAt: systemClock.monotonic(),
        status,
        why,
        ...register.read(target, status, body),
      }
    } catch (error) {
      return { ...base, endedAt: systemClock.monotonic(), status: codeOf(error) ?? String(error) }
    }
  }

  async #ask(register: Register, node: number): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const [newest, before] = this.#newest.get(register.name) as readonly [string, string]
      this.#history.answers.push(await this.answer(register, node, newest, before))
      await systemClock.sleep(pauseMs, this.#stopping.signal)
    }
  }

  /** Keeps to one node as long as that does what it is told, and goes to the next one otherwise. */
  async #write(register: Register, change: Change, first: number): Promise<void> {
    let node = first % this.#place.nodes.length
    while (!this.#stopping.signal.aborted) {
      const write = await this.#change(register, change, node)
      this.#history.writes.push(write)
      if (write.outcome === 'complete' || write.outcome === 'incomplete') {
        const [before] = this.#newest.get(register.name) as readonly [string, string]
        this.#newest.set(register.name, [write.value, before])
      } else node = (node + 1) % this.#place.nodes.length
      await systemClock.sleep(writePauseMs, this.#stopping.signal)
    }
  }

  async #change(register: Register, change: Change, node: number): Promise<Write> {
    const number = (this.#numbers.get(register.name) ?? 0) + 1
    this.#numbers.set(register.name, number)
    const value = `${register.name}-${number}-${Math.trunc(systemClock.monotonic())}`
    const { path, body } = change(value)
    const origin = (this.#place.nodes[node] as NodeProcess).admin
    const sentAt = systemClock.monotonic()
    const told = await this.#send(`${origin}${path}`, 'PATCH', writeLimitMs, body).then(
      ({ status, headers, body: text }) => outcomeOf(status, headers, text),
      (error) => ({ outcome: codeOf(error) === 'ECONNREFUSED' ? 'refused' : 'unknown' }) as const,
    )
    const names = 'lagging' in told ? told.lagging : []
    const lagging = names.flatMap((name) => this.#place.numberOf(name) ?? [])
    const endedAt = systemClock.monotonic()
    return { register: register.name, value, node, sentAt, endedAt, outcome: told.outcome, lagging }
  }

  #send(url: string, method: string, limitMs: number, body?: JsonObject): Promise<Sent> {
    return new Promise((resolve, reject) => {
      const headers = body ? { 'content-type': 'application/json' } : {}
      const request = http.request(url, { method, headers, agent: this.#agent }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk
        })
        response.once('end', () => {
          limit.cancel()
          resolve({ status: response.statusCode as number, headers: response.headers, body: text })
        })
        response.once('error', reject)
      })
      const limit = systemClock.after(limitMs, () => request.destroy(new TooLate()))
      request.once('error', (error) => {
        limit.cancel()
        reject(error)
      })
      request.end(body && JSON.stringify(body))
    })
  }
}

interface Sent {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

class TooLate extends Error {
  readonly code = 'too late'
}

function outcomeOf(
  status: number,
  headers: http.IncomingHttpHeaders,
  body: string,
): { readonly outcome: Outcome; readonly lagging: readonly string[] } {
  if (status !== 200) {
    return { outcome: /nothing was changed/.test(body) ? 'refused' : 'unknown', lagging: [] }
  }
  const [applied, of] = String(headers['x-troop-applied']).split('/')
  const lagging = String(headers['x-troop-lagging'] ?? '').split(', ')
  return { outcome: applied === of ? 'complete' : 'incomplete', lagging: lagging.filter(Boolean) }
}
