// Tells browsers which pages of other origins may ask this API what (https://fetch.spec.whatwg.org/#http-cors-protocol).
import type { Json, JsonObject } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { isFieldName, isFieldValue } from '../header-field.ts'
import { headerValue } from '../identity.ts'
import { definePlugin, type PluginHeaders, type PluginRequest } from '../plugin.ts'

const methods = ['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/** What a preflight is told where no methods are configured, in the order of 0.8. */
const anyMethod = 'GET,HEAD,PUT,PATCH,POST,DELETE'

export const cors = definePlugin({
  name: 'cors',
  // Before whatever refuses: a browser sends no credentials with a preflight, and hides a refusal that is not marked.
  priority: 2000,
  perConsumer: false,
  config: {
    origin: {
      type: 'string',
      check: (value) =>
        isFieldValue(String(value))
          ? undefined
          : { error: `origin is not the value of a header: '${value}'` },
      help: 'the origin whose pages may read responses; all when absent',
    },
    methods: { type: 'array', enum: methods, help: 'what pages may send; each of them when absent' },
    headers: {
      type: 'array',
      check: checkNames('headers'),
      help: 'request headers that pages may set; those that they ask for when absent',
    },
    exposed_headers: {
      type: 'array',
      check: checkNames('exposed_headers'),
      help: 'response headers that pages may read, besides the simple ones',
    },
    max_age: { type: 'number', help: 'seconds for which a browser may remember the answer to a preflight' },
    credentials: { type: 'boolean', default: false, help: 'whether pages may send cookies and the like' },
    preflight_continue: {
      type: 'boolean',
      default: false,
      help: 'leave preflights to the upstream',
    },
  },
  phases: {
    access(request, config) {
      if (!isPreflight(request) || config.preflight_continue === true) return undefined
      return { status: 204, headers: preflightHeaders(request, config) }
    },
    headers({ headers }, config, request) {
      if (isPreflight(request)) return
      setAll(headers, originHeaders(config))
      const exposed = listOf(config.exposed_headers)
      if (exposed) headers.set('Access-Control-Expose-Headers', exposed)
    },
  },
})

/** As in 0.8, whatever else it says. */
function isPreflight({ incoming }: PluginRequest): boolean {
  return incoming.method === 'OPTIONS'
}

function preflightHeaders(request: PluginRequest, config: JsonObject): Record<string, string> {
  const headers = listOf(config.headers) ?? request.headers.get('access-control-request-headers')
  return {
    ...originHeaders(config),
    ...(headers && { 'Access-Control-Allow-Headers': headers }),
    'Access-Control-Allow-Methods': listOf(config.methods) ?? anyMethod,
    ...(typeof config.max_age === 'number' && { 'Access-Control-Max-Age': String(config.max_age) }),
  }
}

/** What any response says. */
function originHeaders({ origin, credentials }: JsonObject): Record<string, string> {
  return {
    'Access-Control-Allow-Origin': typeof origin === 'string' ? headerValue(origin) : '*',
    ...(typeof origin === 'string' && { Vary: 'Origin' }),
    ...(credentials === true && { 'Access-Control-Allow-Credentials': 'true' }),
  }
}

function setAll(headers: PluginHeaders, fields: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(fields)) headers.set(name, value)
}

/** Undefined for a list that is not given, or was emptied. */
function listOf(list: Json | undefined): string | undefined {
  return Array.isArray(list) && list.length > 0 ? list.join(',') : undefined
}

function checkNames(field: string): (value: Json) => FieldVerdict {
  return (value) => {
    const wrong = (value as readonly string[]).find((name) => !isFieldName(name))
    return wrong === undefined ? undefined : { error: `${field} has what is no name of a header: '${wrong}'` }
  }
}
