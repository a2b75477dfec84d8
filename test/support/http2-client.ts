// A client of HTTP/2 that sees all that comes back.
import { once } from 'node:events'
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { certificate } from './certificate.ts'

export interface Http2Answered {
  /** 0: there was none. */
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: string
  /** Undefined: there were none. */
  readonly trailers: Record<string, string | string[] | undefined> | undefined
  /** Of the stream's reset; 0: it ended in order. */
  readonly code: number
  /** Statuses of the heads before the answer's. */
  readonly informed: readonly number[]
}

/** @param ca  whose certificate it takes; default: that of the tests */
export async function connectHttp2(port: number, ca = certificate): Promise<ClientHttp2Session> {
  const session = http2.connect(`https://localhost:${port}`, { ca, maxSessionMemory })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  return session
}

/** In MB: a client that has more to send takes no answer by default. */
const maxSessionMemory = 1000

/** @param body  undefined for none */
export function askHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Http2Answered> {
  const stream = session.request(
    { ':authority': 'test', ':path': '/', ...headers },
    { endStream: body === undefined },
  )
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

/** All that comes back, once the stream is closed. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Http2Answered> {
  let head: Http2Answered['headers'] & { ':status'?: number } = {}
  let trailers: Http2Answered['trailers']
  const informed: number[] = []
  const chunks: Buffer[] = []
  stream.on('headers', (headers) => informed.push(headers[':status'] as number))
  stream.on('response', (headers) => {
    head = Object.fromEntries(Object.entries(headers))
  })
  stream.on('trailers', (headers) => {
    trailers = Object.fromEntries(Object.entries(headers))
  })
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('error', () => {})
  await new Promise<void>((resolve) => stream.once('close', resolve))
  const { ':status': status = 0, ...headers } = head
  return {
    ...{ status, headers, trailers, informed },
    body: Buffer.concat(chunks).toString(),
    code: stream.rstCode ?? 0,
  }
}
