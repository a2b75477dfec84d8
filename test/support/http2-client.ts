// A client of HTTP/2 that sees all that comes back.
import { once } from 'node:events'
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { certificate } from './certificate.ts'
import { type Answered, type Answering, type Asked, type Begun, framed, pairsOf, sent } from './raw-http.ts'

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
  const session = openHttp2(port, ca)
  await once(session, 'remoteSettings')
  return session
}

/** The same, without waiting for it: what it is asked goes out when it is connected. */
export function openHttp2(port: number, ca = certificate): ClientHttp2Session {
  const session = http2.connect(`https://localhost:${port}`, { ca, maxSessionMemory })
  session.on('error', () => {})
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

/** What `begin` of raw-http.ts does, in the words of HTTP/2: `Host` is `:authority`, and blanks are part of no value. */
export function beginHttp2(session: ClientHttp2Session, target: string, asked: Asked = {}): Begun {
  const { method = 'GET', body, isOpen = false, trailers } = asked
  const pseudo = [':method', method, ':scheme', 'https', ':path', target]
  const fields: string[] = []
  for (const [name, value] of pairsOf(framed(asked))) {
    const lower = name.toLowerCase()
    if (lower === 'host') pseudo.push(':authority', value.trim())
    // A body ends with its stream.
    else if (lower !== 'transfer-encoding') fields.push(lower, value.trim())
  }
  const endStream = body === undefined && !isOpen
  const options = { endStream, waitForTrailers: trailers !== undefined }
  const stream = session.request([...pseudo, ...fields], options)
  if (trailers) stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(pairsOf(trailers))))
  return sent(asked, {
    body: stream,
    answer: answeringOf(stream),
    abandon: () => stream.close(constants.NGHTTP2_CANCEL),
  })
}

/** @throws {Error} with the code ECONNRESET, as a connection of HTTP/1.1 has it, when the stream is reset before */
function answeringOf(stream: ClientHttp2Stream): Promise<Answering> {
  const informed: Answered['informed'][number][] = []
  let trailers = {}
  stream.on('headers', (headers) => informed.push([headers[':status'] as number, fieldsOf(headers)]))
  stream.on('trailers', (headers) => {
    trailers = fieldsOf(headers)
  })
  return new Promise((resolve, reject) => {
    stream.once('response', (headers, _flags, ...[raw]: [raw?: string[]]) =>
      resolve({
        ...{ status: headers[':status'] as number, reason: '', headers: fieldsOf(headers), informed },
        ...{ rawHeaders: raw?.slice(2) ?? [], trailers: () => trailers, body: stream },
      }),
    )
    stream.once('close', () =>
      reject(Object.assign(new Error('the stream was reset'), { code: 'ECONNRESET' })),
    )
  })
}

function fieldsOf({ ':status': _status, ...fields }: IncomingHttpHeaders): Answered['headers'] {
  return Object.fromEntries(Object.entries(fields))
}
