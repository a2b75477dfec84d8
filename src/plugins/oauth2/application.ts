import type { Json } from '../../base/json.ts'
import { commonFields, consumerField, defineEntity, type FieldVerdict } from '../../entities/define.ts'

/** A client: what asks for tokens, on behalf of a consumer. */
export const oauth2Credential = defineEntity({
  name: 'oauth2_credentials',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    name: { type: 'string', required: true, help: 'of the application, for people' },
    client_id: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      help: 'unique; 32 random hex digits when absent or blank',
    },
    client_secret: {
      type: 'string',
      default: ({ random }) => random.hex(16),
      secret: true,
      help: 'unique; 32 random hex digits when absent or blank',
    },
    redirect_uri: {
      type: 'array',
      required: true,
      example: ['https://app.example.com/callback'],
      check: checkUris,
      help: 'where browsers may be sent back to; the first one where a request names none',
    },
  },
  // Two families: a client_id that somebody chooses may be the id of another one.
  lookups: [
    { prefix: 'oauth2_credentials', by: ['client_id'] },
    { prefix: 'oauth2_credentials_by_id', by: ['id'] },
  ],
  owner: { column: 'consumer_id', path: 'oauth2', wrongId: 'message' },
  collection: { path: 'oauth2', listOnly: true },
})

/** With a scheme and a host, and nothing that could end a line. */
const absolute = /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s\p{Cc}]+[^\s\p{Cc}]*$/iu

function checkUris(value: Json): FieldVerdict {
  const uris = value as readonly string[]
  if (uris.length === 0) return { error: 'at least one URI is required' }
  const unreadable = uris.find((uri) => !absolute.test(uri))
  const fragmented = uris.find((uri) => uri.includes('#'))
  // In the order of the list, as 0.8 tells them.
  const [first] = uris.filter((uri) => uri === unreadable || uri === fragmented)
  if (first === undefined) return undefined
  return { error: first === unreadable ? `cannot parse '${first}'` : `fragment not allowed in '${first}'` }
}
