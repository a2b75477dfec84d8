// HTTP as bytes, for what a well-behaved client can't say or would hide.

import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import net, { type Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { certificate } from './certificate.ts'

export interface Answered {
  readonly status: number
  /** Empty over HTTP/2, which has none. */
  readonly reason: string
  readonly headers: Record<string, string | string[] | undefined>
  readonly rawHeaders: string[]
  readonly trailers: Record<string, string | string[] | undefined>
  /** Status and headers of what came before the answer. */
  readonly informed: readonly [status: number, headers: Answered['headers']][]
  readonly body: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: readonly string[]
  /** In pieces: nothing is said of its length. */
  readonly body?: string | Buffer | readonly string[]
  /** Whether more of the body is to be written, and its end. */
  readonly isOpen?: boolean
  /** After a body of which nothing is said of its length; names and values in turn. */
  readonly trailers?: readonly string[]
  readonly agent?: http.Agent
  /** By TLS, with these options besides `trusting`. */
  readonly tls?: ConnectionOptions
}

/** A request under way. */
export interface Begun {
  /** For what more of the body is to come. */
  readonly body: Writable
  /** Once its head is there, its body yet to be read. */
  readonly answer: Promise<Answering>
  /** The client goes away. */
  abandon(): void
}

export interface Answering extends Omit<Answered, 'trailers' | 'body'> {
  readonly body: Readable
  /** Known when all of the body was read. */
  readonly trailers: () => Answered['trailers']
}

/** What a client needs to trust the certificate of the tests. */
export const trusting: ConnectionOptions = { ca: certificate, servername: 'localhost' }

/** One request on a connection of its own, the target taken as it is; `Host` only if `headers` (in turn) has it. */
export function ask(port: number, target: string, asked: Asked = {}): Promise<Answered> {
  return answeredTo(begin(port, target, asked))
}

/** The same, that writes its body and reads its answer as the caller likes. */
export function begin(port: number, target: string, asked: Asked = {}): Begun {
  const { method = 'GET', agent, tls } = asked
  const options = { host: '127.0.0.1', port, method, path: target, headers: framed(asked), setHost: false }
  const request = tls
    ? https.request({ ...options, ...trusting, ...tls, agent: (agent as https.Agent) ?? false })
    : http.request({ ...options, agent: agent ?? false })
  const informed: Answered['informed'][number][] = []
  request.on('information', ({ statusCode, headers }) => informed.push([statusCode, headers]))
  const answer = new Promise<Answering>((resolve, reject) => {
    request.on('response', (response) => resolve(answeringOf(response, informed))).on('error', reject)
  })
  // Else its head would wait for the first of its body.
  if (asked.isOpen) request.flushHeaders()
  if (asked.trailers) request.addTrailers(pairsOf(asked.trailers))
  return sent(asked, { body: request, answer, abandon: () => request.destroy() })
}

function answeringOf(response: IncomingMessage, informed: Answered['informed']): Answering {
  return {
    status: response.statusCode as number,
    reason: response.statusMessage as string,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    trailers: () => response.trailers,
    informed,
    body: response,
  }
}

/** Of the request, with what is known of its body. */
export function framed({ headers = ['Host', 'test'], body }: Asked): readonly string[] {
  if (body === undefined) return headers
  if (isInPieces(body)) return [...headers, 'Transfer-Encoding', 'chunked']
  return [...headers, 'Content-Length', String(Buffer.byteLength(body))]
}

/** As much of the body as there is by now. */
export function sent({ body = [], isOpen = false }: Asked, begun: Begun): Begun {
  // Who has given up does not look at it.
  begun.answer.catch(() => {})
  begun.body.on('error', () => {})
  for (const piece of isInPieces(body) ? body : [body]) begun.body.write(piece)
  if (!isOpen) begun.body.end()
  return begun
}

function isInPieces(body: string | Buffer | readonly string[]): body is readonly string[] {
  return Array.isArray(body)
}

/** All that came back. */
export async function answeredTo({ answer }: Begun): Promise<Answered> {
  const answering = await answer
  const chunks: Buffer[] = []
  for await (const chunk of answering.body) chunks.push(chunk)
  return { ...answering, trailers: answering.trailers(), body: Buffer.concat(chunks).toString() }
}

/** Of names and values in turn. */
export function pairsOf(raw: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i] as string, raw[2 * i + 1] as string])
}

/** Sends `bytes` and resolves with all that comes back before the other side closes. */
export async function exchange(port: number, bytes: string, how?: 'tls'): Promise<string> {
  const socket = await (how ? connectTls(port) : connect(port))
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  socket.on('error', () => {})
  socket.write(bytes, 'latin1')
  await closed
  return Buffer.concat(chunks).toString('latin1')
}

export async function connect(port: number): Promise<Socket> {
  const socket = net.connect(port, '127.0.0.1')
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

export async function connectTls(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = tls.connect({ host: '127.0.0.1', port, ...trusting, ...options })
  await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  return socket
}
