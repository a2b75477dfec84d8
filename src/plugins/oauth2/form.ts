// Parameters in the body of a request: of a form, or of a multipart form.
import type { PluginRequest } from '../plugin.ts'
import { Parameters, queryValues } from '../query.ts'
import { Multipart } from '../transforming/multipart.ts'

export interface Form {
  values(name: string): readonly (string | undefined)[]
  /** The body without the parameter. */
  without(name: string): Buffer
}

type Parse = (body: Buffer, contentType: string) => Form | undefined

const parsers: Readonly<Record<string, Parse>> = {
  'application/x-www-form-urlencoded': (body) => {
    const text = body.toString('latin1')
    return {
      values: (name) => queryValues(text, name),
      without(name) {
        const parameters = new Parameters(text)
        parameters.remove(name)
        return parameters.bytes() ?? body
      },
    }
  },
  'multipart/form-data': (body, contentType) => {
    const parts = Multipart.parse(body, contentType)
    return (
      parts && {
        values: (name) => parts.values(name),
        without(name) {
          parts.remove(name)
          return parts.bytes() ?? body
        },
      }
    )
  },
}

/**
 * The form that a request has for its body; undefined for a body of another kind, which is not read.
 * @throws {Refusal} 413 for one that is larger than that
 */
export async function readForm(request: PluginRequest, bytesMax: number): Promise<Form | undefined> {
  const type = request.headers.get('content-type') ?? ''
  const parse = hasForm(request) ? parsers[mediaType(type)] : undefined
  return parse?.(await request.readBody(bytesMax), type)
}

/** What is in a coded body is not known. */
export function hasForm({ headers }: PluginRequest): boolean {
  const coding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
  return coding === 'identity' && Object.hasOwn(parsers, mediaType(headers.get('content-type') ?? ''))
}

function mediaType(contentType: string): string {
  return (contentType.split(';', 1)[0] as string).trim().toLowerCase()
}
