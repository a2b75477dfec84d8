import type { Json, Row } from '../base/json.ts'
import { coreFields, defineEntity, type FieldVerdict } from './define.ts'
import { parseUpstreamUrl } from './upstream-url.ts'

/** What is proxied: how requests for it look, and where they go. */
export const api = defineEntity({
  name: 'apis',
  alias: 'name',
  fields: {
    ...coreFields,
    name: {
      type: 'string',
      default: ({ values }) => defaultName(values),
      check: checkName,
      example: 'mockbin',
      help: 'unique; letters, digits and . _ - ~; made from the host or the path when absent',
    },
    request_host: {
      type: 'string',
      check: checkHost,
      example: 'mockbin.com',
      help: 'unique; a host name, or one with a single wildcard at an end',
    },
    request_path: {
      type: 'string',
      check: checkPath,
      example: '/mockbin',
      help: 'unique; a path prefix, whole segments',
    },
    strip_request_path: {
      type: 'boolean',
      default: false,
      help: 'remove request_path from the upstream URL',
    },
    upstream_url: {
      type: 'url',
      required: true,
      check: checkUpstream,
      example: 'http://mockbin.com',
      help: 'http or https URL that requests are sent to; grpc or grpcs for a gRPC server',
    },
    preserve_host: { type: 'boolean', default: false, help: "send the client's Host header to the upstream" },
  },
  lookups: [],
  atLeastOneOf: ['request_host', 'request_path'],
})

function defaultName({ request_host, request_path }: Row): string | undefined {
  const source =
    typeof request_host === 'string' && request_host !== ''
      ? request_host
      : typeof request_path === 'string'
        ? request_path.replace(/^\//, '').replaceAll('/', '-')
        : undefined
  return source?.replace(/[^\w.\-~]/g, '-')
}

function checkName(value: Json): FieldVerdict {
  if (/^[\w.\-~]*$/.test(String(value))) return undefined
  return { error: "name must only contain alphanumeric and '., -, _, ~' characters" }
}

function checkHost(value: Json): FieldVerdict {
  const host = String(value)
  if (host === '') return undefined
  const wildcards = host.split('*').length - 1
  if (wildcards > 1) return { error: `Only one wildcard is allowed: ${host}` }
  if (wildcards === 1) {
    const rest = host.startsWith('*.') ? host.slice(2) : host.endsWith('.*') ? host.slice(0, -2) : ''
    if (rest === '') return { error: `Invalid wildcard placement: ${host}` }
    return rest.split('.').every(isLabel) ? undefined : { error: `Invalid value: ${host}` }
  }
  const labels = host.split('.')
  const last = labels.at(-1) as string
  const valid = labels.length > 1 && labels.every(isLabel) && /^[a-z0-9]{2,}$/i.test(last)
  return valid ? undefined : { error: `Invalid value: ${host}` }
}

function isLabel(label: string): boolean {
  return /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i.test(label)
}

function checkPath(value: Json): FieldVerdict {
  const path = String(value)
  if (path === '') return undefined
  if (!path.startsWith('/')) return { error: `must be prefixed with slash: '${path}'` }
  if (path.includes('//')) return { error: `invalid: '${path}'` }
  if (!/^[\w.\-~/]*$/.test(path))
    return { error: "must only contain alphanumeric and '., -, _, ~, /' characters" }
  return { value: path === '/' ? path : path.replace(/\/$/, '') }
}

function checkUpstream(value: Json): FieldVerdict {
  const url = String(value)
  if (!/^(?:https?|grpcs?):\/\//i.test(url)) return { error: 'Supported protocols are HTTP and HTTPS' }
  const upstream = parseUpstreamUrl(url)
  if (!upstream) return { error: 'upstream_url is not a url' }
  if (upstream.isGrpc && (upstream.path !== '' || upstream.query !== undefined))
    return { error: `a gRPC upstream_url is a host and a port, without path and query: ${url}` }
  return undefined
}
