// What a record says in numbers, as lines of the statsd protocol: `name:value|type`.
import { isObject, type Json, type JsonObject } from '../base/json.ts'
import type { Fields } from '../entities/define.ts'
import { portField, timeoutField } from './receivers.ts'
import type { Packing } from './udp-carrier.ts'

/** Undefined where the record has no such number. Lines of one record are in the order in which metrics are named. */
type Metric = (passed: Passed) => string | undefined

interface Passed {
  /** `kong.<api>`; dots would begin another level. */
  readonly prefix: string
  readonly request: JsonObject
  readonly response: JsonObject
  readonly latencies: JsonObject
  /** Id of the consumer. */
  readonly consumer: string | undefined
}

const metrics: Readonly<Record<string, Metric>> = {
  request_count: ({ prefix }) => `${prefix}.request.count:1|c`,
  status_count: ({ prefix, response }) => `${prefix}.request.status.${response.status}:1|c`,
  latency: ({ prefix, latencies }) => `${prefix}.latency:${latencies.request}|g`,
  request_size: ({ prefix, request }) => `${prefix}.request.size:${request.size}|g`,
  response_size: ({ prefix, response }) => `${prefix}.response.size:${response.size}|g`,
  unique_users: ({ prefix, consumer }) => consumer && `${prefix}.user.uniques:${consumer}|s`,
  request_per_user: ({ prefix, consumer }) =>
    consumer && `${prefix}.${consumer.replaceAll('-', '_')}.request.count:1|c`,
}

const names = Object.keys(metrics)

/** The fields that every plugin that sends metrics has. */
export const metricFields = {
  host: { type: 'string', default: 'localhost', help: 'name or address of the receiver' },
  port: { ...portField, default: 8125 },
  metrics: {
    type: 'array',
    default: names,
    enum: names,
    help: 'what is sent of each request, in this order',
  },
  timeout: timeoutField,
} as const satisfies Fields

/** As much as an Ethernet frame takes, whatever is around it. Few are kept: they would count for the wrong minute. */
export const metricPacking: Packing = { recordsAtOnce: 100, charsAtOnce: 1432, charsKept: 256 * 1024 }

export function metricLines(record: JsonObject, wanted: Json | undefined): string[] {
  const passed = passedOf(record)
  return [wanted ?? []].flat().flatMap((name) => metrics[String(name)]?.(passed) ?? [])
}

function passedOf({ api, request, response, latencies, authenticated_entity }: JsonObject): Passed {
  const { consumer_id } = tableOf(authenticated_entity)
  return {
    prefix: `kong.${wordOf(tableOf(api).name)}`,
    request: tableOf(request),
    response: tableOf(response),
    latencies: tableOf(latencies),
    consumer: typeof consumer_id === 'string' ? consumer_id : undefined,
  }
}

/** Names have letters, digits and `. _ - ~` alone, unless somebody wrote them past the Admin API. */
function wordOf(name: Json | undefined): string {
  return String(name).replace(/[^\w~-]/g, '_')
}

function tableOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}
