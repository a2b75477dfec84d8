// Records to an HTTP server, each as the body of one request, over connections that are kept and reused.
import type { Agent, ClientRequest } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import { http } from '../../base/http.ts'
import type { ConnectionTimes } from '../receivers.ts'
import { type Carrier, NotSent } from '../record-queue.ts'

export interface HttpCarrierOptions extends ConnectionTimes {
  readonly endpoint: URL
  readonly method: string
  readonly clock: Clock
}

export class HttpCarrier implements Carrier {
  readonly receiver: string
  /** More carry more to a receiver that is far away; each is a connection to it, from every worker of every node. */
  readonly lanes = 32
  readonly recordsAtOnce = 1
  readonly charsAtOnce = 0
  readonly #options: HttpCarrierOptions
  readonly #agent: Agent
  readonly #requests = new Set<ClientRequest>()
  #closed = false

  constructor(options: HttpCarrierOptions) {
    const { endpoint, keepaliveMs } = options
    // Some endpoints have a token in their path, which is nothing for the node's log.
    this.receiver = endpoint.origin
    this.#options = options
    const { Agent } = isEncrypted(endpoint) ? https : http
    this.#agent = new Agent({ keepAlive: keepaliveMs > 0, timeout: keepaliveMs, scheduling: 'lifo' })
  }

  async carry([record = '']: readonly string[]): Promise<void> {
    const body = Buffer.from(record)
    const first = this.#open(body.length, this.#agent)
    try {
      await this.#send(first, body)
    } catch (error) {
      // A receiver may close an idle connection in the moment in which it is used again; hardly ever has it read from it.
      const closed = codeOf(error) === 'ECONNRESET' || codeOf(error) === 'EPIPE'
      if (!closed || !first.reusedSocket || this.#closed) throw error
      await this.#send(this.#open(body.length, false), body)
    }
  }

  close(): void {
    this.#closed = true
    for (const request of this.#requests) request.destroy()
    this.#agent.destroy()
  }

  /** Resolves when the answer is through, or as much of it as comes in time; what it says is not looked at. */
  async #send(request: ClientRequest, body: Buffer): Promise<void> {
    const { clock, timeoutMs } = this.#options
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let [isReached, isAnswered] = [false, false]
    request.on('socket', (socket) => {
      const reached = () => {
        isReached = true
      }
      if (socket.connecting) socket.once('encrypted' in socket ? 'secureConnect' : 'connect', reached)
      else reached()
    })
    request.on('response', (response) => {
      isAnswered = true
      response.on('error', () => {})
      response.resume()
    })
    request.on('error', (error) => isAnswered || reject(isReached ? error : new NotSent(error)))
    request.on('close', () => (isAnswered ? resolve() : reject(new Error('the connection was closed'))))
    const late = clock.after(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    this.#requests.add(request)
    request.end(body)
    try {
      await promise
    } finally {
      late.cancel()
      this.#requests.delete(request)
    }
  }

  /** @param agent  false for a connection of its own */
  #open(length: number, agent: Agent | false): ClientRequest {
    if (this.#closed) throw new NotSent(new Error('nothing is sent any more'))
    const { endpoint, method } = this.#options
    const host = endpoint.hostname.replace(/^\[|\]$/g, '')
    const headers = [
      'Host',
      endpoint.hostname,
      'Content-Type',
      'application/json',
      'Content-Length',
      String(length),
    ]
    const options = { host, method, path: endpoint.pathname, headers, setHost: false, agent }
    if (!isEncrypted(endpoint)) return http.request({ ...options, port: endpoint.port || 80 })
    return https.request({
      ...options,
      port: endpoint.port || 443,
      // As in 0.8: receivers of logs tend to have certificates that they made for themselves.
      rejectUnauthorized: false,
      servername: isIP(host) === 0 ? host : '',
    })
  }
}

function isEncrypted({ protocol }: URL): boolean {
  return protocol === 'https:'
}
