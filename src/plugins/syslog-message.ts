// Records as messages of the syslog protocol (RFC 5424), by how urgent they are.
import { hostname } from 'node:os'
import type { Clock } from '../base/clock.ts'
import { isObject, type JsonObject } from '../base/json.ts'
import type { Field, Fields } from '../entities/define.ts'

/** Most urgent first: the place of each is its number. */
const severities = ['emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info', 'debug']

/** The facility "user", as a part of the number that a message begins with. */
const facility = 1 * 8

const severityField = { type: 'string', default: 'info', enum: severities } as const satisfies Field

/** The fields that every plugin that sends such messages has. */
export const severityFields = {
  log_level: { ...severityField, help: 'records that are less urgent are not sent' },
  successful_severity: { ...severityField, help: 'of records with a status below 400' },
  client_errors_severity: { ...severityField, help: 'of records with a status from 400 to 499' },
  server_errors_severity: { ...severityField, help: 'of records with a status of 500 and above' },
} as const satisfies Fields

/**
 * The message of a record; undefined when it is less urgent than `log_level`.
 * @param data  structured data (RFC 5424, 6.3); `-` for none
 */
export function syslogMessage(
  record: JsonObject,
  config: JsonObject,
  data: string,
  clock: Clock,
): string | undefined {
  const severity = severities.indexOf(String(config[severityFieldOf(record)]))
  if (severity > severities.indexOf(String(config.log_level))) return undefined
  const at = new Date(clock.now()).toISOString()
  // The program's name is what readers filter by, so it stays that of 0.8.
  return `<${facility + severity}>1 ${at} ${hostname()} kong - - ${data} ${JSON.stringify(record)}`
}

function severityFieldOf({ response }: JsonObject): keyof typeof severityFields {
  const status = isObject(response) ? Number(response.status) : 0
  if (status >= 500) return 'server_errors_severity'
  return status >= 400 ? 'client_errors_severity' : 'successful_severity'
}
