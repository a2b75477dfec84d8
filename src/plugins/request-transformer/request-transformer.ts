// Changes headers, query string and body of a request before it goes upstream.
import type { JsonObject } from '../../base/json.ts'
import { headerValue } from '../identity.ts'
import { definePlugin, type PluginRequest } from '../plugin.ts'
import { Parameters } from '../query.ts'
import { type Editable, type Edits, edit, editFields, editsBy, isEmpty } from '../transforming/edits.ts'
import { JsonMembers } from '../transforming/json-members.ts'
import { Multipart } from '../transforming/multipart.ts'

export const requestTransformer = definePlugin({
  name: 'request-transformer',
  priority: 800,
  config: editFields({
    headers: 'headers, Host among them',
    querystring: 'parameters of the query string',
    body: 'parameters of a form, parts of a multipart form, or members of a JSON object',
  }),
  open() {
    const editsFor = editsBy('headers', 'querystring', 'body')
    return {
      access(request, config: JsonObject) {
        const { headers, querystring, body } = editsFor(config)
        const editHead = (): undefined => {
          if (!isEmpty(headers)) edit(headersOf(request), headers)
          if (!isEmpty(querystring)) request.query = edited(new Parameters(request.query), querystring).text
        }
        if (isEmpty(body) || !isReadable(request)) return editHead()
        return editBody(request, body).then(editHead)
      },
    }
  },
})

/** What is in a coded body is not known, so it passes like any other that is of no known type. */
function isReadable({ headers }: PluginRequest): boolean {
  const coding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
  return coding === 'identity' && readerOf(headers.get('content-type') ?? '') !== undefined
}

async function editBody(request: PluginRequest, edits: Edits): Promise<void> {
  const type = request.headers.get('content-type') ?? ''
  const body = readerOf(type)?.(await request.readBody(), type)
  // What is not as its type says is not ours to mend.
  const bytes = body && edited(body, edits).bytes()
  if (bytes) request.setBody(bytes)
}

/** A body whose values have names. */
interface NamedBody extends Editable {
  /** Undefined where nothing was changed. */
  bytes(): Buffer | undefined
}

const readers: readonly (readonly [
  type: string,
  (body: Buffer, contentType: string) => NamedBody | undefined,
])[] = [
  ['application/json', JsonMembers.parse],
  ['application/x-www-form-urlencoded', (body) => new Parameters(body.toString('latin1'))],
  ['multipart/form-data', Multipart.parse],
]

function readerOf(contentType: string) {
  return readers.find(([type]) => contentType.toLowerCase().includes(type))?.[1]
}

/** `Host` goes its own way, and is always there: what goes upstream is `request.host`. */
function headersOf(request: PluginRequest): Editable {
  const { headers } = request
  const isHost = (name: string) => name.toLowerCase() === 'host'
  return {
    has: (name) => isHost(name) || headers.has(name),
    set(name, value) {
      if (isHost(name)) request.host = headerValue(value)
      else headers.set(name, headerValue(value))
    },
    append(name, value) {
      if (isHost(name)) request.host = headerValue(value)
      else headers.append(name, headerValue(value))
    },
    remove(name) {
      if (!isHost(name)) headers.remove(name)
    },
  }
}

function edited<T extends Editable>(values: T, edits: Edits): T {
  edit(values, edits)
  return values
}
