// Changes headers and JSON of a response before it goes to the client.
import { headerValue } from '../identity.ts'
import { definePlugin, type PluginHeaders } from '../plugin.ts'
import { type Editable, edit, editFields, editsBy, isEmpty } from '../transforming/edits.ts'
import { JsonMembers } from '../transforming/json-members.ts'

export const responseTransformer = definePlugin({
  name: 'response-transformer',
  priority: 800,
  config: editFields({ headers: 'headers', json: 'members of a JSON object' }),
  open() {
    const editsFor = editsBy('headers', 'json')
    return {
      access({ headers }, config) {
        if (!isEmpty(editsFor(config).json)) askForWhole(headers)
        return undefined
      },
      headers(response, config) {
        const edits = editsFor(config)
        edit(headersOf(response.headers), edits.headers)
        if (isEmpty(edits.json) || !isJson(response.headers)) return
        response.changeBody((body) => {
          const members = JsonMembers.parse(body)
          // What is not as its type says is not ours to mend.
          if (!members) return body
          edit(members, edits.json)
          return members.bytes() ?? body
        })
      },
    }
  },
})

/** The codings that a body can be freed from (plugin.ts, `changeBody`). */
const readable = /^\s*(?:gzip|deflate|br|zstd|identity)\s*(?:;|$)/i

/** A part of a body, or one in a coding that only the client knows, could not be changed. */
function askForWhole(headers: PluginHeaders): void {
  headers.remove('range')
  headers.remove('if-range')
  const codings = headers.all('accept-encoding').flatMap((value) => value.split(','))
  if (codings.length === 0) return
  const kept = codings.filter((coding) => readable.test(coding))
  headers.set(
    'Accept-Encoding',
    kept.length === 0 ? 'identity' : kept.map((coding) => coding.trim()).join(', '),
  )
}

function isJson(headers: PluginHeaders): boolean {
  return headers.all('content-type').some((type) => type.toLowerCase().includes('application/json'))
}

function headersOf(headers: PluginHeaders): Editable {
  return {
    has: (name) => headers.has(name),
    set: (name, value) => headers.set(name, headerValue(value)),
    append: (name, value) => headers.append(name, headerValue(value)),
    remove: (name) => headers.remove(name),
  }
}
