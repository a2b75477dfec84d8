// From a request to its parameters: reads the body, bounded, and parses it by its Content-Type.
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import { isObject, type Json, type JsonObject } from '../base/json.ts'
import { badRequest, bodyTooLarge } from './errors.ts'
import { type Parameter, parseForm, refuseTooMany } from './form.ts'
import { nest } from './parameters.ts'

/** 0.8's bound: enough for certificates and lists of thousands, little enough to hold in memory. */
export const bodyBytesMax = 10 * 1024 * 1024

/**
 * All parameters of a request: the query string's, overruled by the body's. Any method may have a body.
 * @throws {Refused} 400 when the body is not what its Content-Type says, 413 when it is too large
 */
export async function readParameters(request: IncomingMessage, query: string): Promise<JsonObject> {
  const fromQuery = parseForm(query)
  const type = request.headers['content-type'] ?? ''
  const body = await readBody(request)
  const kind = kinds.find(({ media }) => type.toLowerCase().includes(media))
  if (!kind || (body.length === 0 && mayBeEmpty(request.method))) return nest(fromQuery)
  if (!isUtf8(body)) throw badRequest(kind.unreadable)
  const { form = [], json } = await kind.parse(body, type)
  return nest([...fromQuery, ...form], json)
}

/** Such requests seldom have a body, but clients set the header on all that they send. */
function mayBeEmpty(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'DELETE'
}

/** Refuses before the first byte when the length is announced. */
export function refuseAnnounced(request: IncomingMessage): void {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) throw bodyTooLarge(bodyBytesMax)
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  refuseAnnounced(request)
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    // Leaving the loop must not destroy the request: the client would never read the answer.
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length
      if (bytes > bodyBytesMax) break
      chunks.push(chunk)
    }
  } catch {
    throw badRequest('The request ended before its body did')
  }
  if (bytes <= bodyBytesMax) return Buffer.concat(chunks, bytes)
  // What is left is read and forgotten, for as long as the server's requestTimeout allows.
  request.resume()
  throw bodyTooLarge(bodyBytesMax)
}

/** A kind of body: members of a JSON object, or fields of a form. */
interface Kind {
  readonly media: string
  readonly unreadable: string
  parse(body: Buffer, type: string): Parsed | Promise<Parsed>
}

interface Parsed {
  readonly form?: readonly Parameter[]
  readonly json?: JsonObject
}

const kinds: readonly Kind[] = [
  { media: 'application/json', unreadable: 'Cannot parse JSON body', parse: parseJson },
  {
    media: 'application/x-www-form-urlencoded',
    unreadable: 'Cannot parse form body: it is not UTF-8',
    parse: (body) => ({ form: parseForm(body.toString()) }),
  },
  {
    media: 'multipart/form-data',
    unreadable: 'Cannot parse multipart body: it is not UTF-8',
    parse: parseMultipart,
  },
]

function parseJson(body: Buffer): Parsed {
  let json: Json
  try {
    json = JSON.parse(body.toString())
  } catch {
    throw badRequest('Cannot parse JSON body')
  }
  if (!isObject(json)) throw badRequest('JSON body is not an object')
  return { json }
}

/** A part with a Content-Type of its own, such as an uploaded PEM file, counts by its content. */
async function parseMultipart(body: Buffer, type: string): Promise<Parsed> {
  let parts: FormData
  try {
    parts = await new Response(body, { headers: { 'content-type': type } }).formData()
  } catch {
    throw badRequest('Cannot parse multipart body')
  }
  const entries = [...parts]
  refuseTooMany(entries.length)
  const read = async ([name, part]: [string, string | File]): Promise<Parameter> => [
    name,
    typeof part === 'string' ? part : await part.text(),
  ]
  return { form: await Promise.all(entries.map(read)) }
}
