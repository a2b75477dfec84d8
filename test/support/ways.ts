// The ways in which requests come in: either lane of HTTP/1.1, and HTTP/2. What is claimed of one must hold in the others,
// but for what is said of HTTP/1.1's own words.
import type { ClientHttp2Session } from 'node:http2'
import type { HttpInbound } from '../../src/proxy/inbound/http-inbound.ts'
import type { TestGateway } from './gateway.ts'
import { beginHttp2, openHttp2 } from './http2-client.ts'
import { type Lane, lanes } from './lanes.ts'
import { type Answered, type Asked, answeredTo, type Begun, begin } from './raw-http.ts'

export interface Way {
  readonly title: string
  /** Of the gateway that requests come to. */
  readonly lane: Lane
  readonly isHttp2: boolean
  /** The listener that they come to. */
  inbound(gateway: TestGateway): HttpInbound
  /** For what it calls itself to them, under the name `test`. */
  origin(gateway: TestGateway): string
  /** One request. Over HTTP/1.1 it has a connection of its own, or its agent's; over HTTP/2 all have one. */
  ask(gateway: TestGateway, target: string, asked?: Asked): Promise<Answered>
  /** The same, that writes its body and reads its answer as the caller likes. */
  begin(gateway: TestGateway, target: string, asked?: Asked): Begun
}

/** The suite once for each way; in the fast lane requests take the ordinary one where they are not plain. */
export function inEachWay(title: string, suite: (way: Way) => void): void {
  for (const way of [...lanes.map(http1), http2()]) describe(`${title}, ${way.title}`, () => suite(way))
}

function http1(lane: Lane): Way {
  return {
    ...{ title: `${lane} lane`, lane, isHttp2: false },
    inbound: ({ inbound }) => inbound,
    origin: ({ port }) => `http://test:${port}`,
    ask: ({ port }, target, asked) => answeredTo(begin(port, target, asked)),
    begin: ({ port }, target, asked) => begin(port, target, asked),
  }
}

function http2(): Way {
  /** They end with their gateway. */
  const sessions = new WeakMap<TestGateway, ClientHttp2Session>()
  const sessionOf = (gateway: TestGateway) => {
    const open = sessions.get(gateway)
    if (open && !open.closed && !open.destroyed) return open
    const session = openHttp2(gateway.tlsPort)
    sessions.set(gateway, session)
    return session
  }
  return {
    ...{ title: 'HTTP/2', lane: 'fast', isHttp2: true },
    inbound: ({ tlsInbound }) => tlsInbound,
    origin: ({ tlsPort }) => `https://test:${tlsPort}`,
    async ask(gateway, target, asked) {
      // What was reset comes in other words than those of HTTP/1.1 where some of the answer had come.
      return answeredTo(beginHttp2(sessionOf(gateway), target, asked)).catch((cause) => {
        throw Object.assign(new Error('the answer broke off', { cause }), { code: 'ECONNRESET' })
      })
    },
    begin: (gateway, target, asked) => beginHttp2(sessionOf(gateway), target, asked),
  }
}
