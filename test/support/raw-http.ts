// HTTP as bytes, for what a well-behaved client can't say or would hide.

import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import net, { type Socket } from 'node:net'
import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls'
import { certificate } from './certificate.ts'

export interface Answered {
  readonly status: number
  readonly reason: string
  readonly headers: Record<string, string | string[] | undefined>
  readonly rawHeaders: string[]
  readonly rawTrailers: string[]
  readonly body: string
}

export interface Asked {
  readonly method?: string
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
  readonly agent?: http.Agent
  /** By TLS, with these options besides `trusting`. */
  readonly tls?: ConnectionOptions
}

/** What a client needs to trust the certificate of the tests. */
export const trusting: ConnectionOptions = { ca: certificate, servername: 'localhost' }

/** One request on a connection of its own, the target taken as it is; `Host` only if `headers` (in turn) has it. */
export async function ask(port: number, target: string, asked: Asked = {}): Promise<Answered> {
  const { method = 'GET', headers = ['Host', 'test'], body, agent, tls } = asked
  const sized = body === undefined ? headers : [...headers, 'Content-Length', String(Buffer.byteLength(body))]
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = { host: '127.0.0.1', port, method, path: target, headers: sized, setHost: false }
    const request = tls
      ? https.request({ ...options, ...trusting, ...tls, agent: (agent as https.Agent) ?? false })
      : http.request({ ...options, agent: agent ?? false })
    request.on('response', resolve).on('error', reject)
    request.end(body)
  })
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return {
    status: response.statusCode as number,
    reason: response.statusMessage as string,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    rawTrailers: response.rawTrailers,
    body: Buffer.concat(chunks).toString(),
  }
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
