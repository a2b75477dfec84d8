// How an answer goes out: always JSON, with a newline at its end.
import type { ParameterizedContext } from 'koa'
import type { Json, JsonObject } from '../base/json.ts'

export function send(ctx: ParameterizedContext, status: number, body: JsonObject | readonly Json[]): void {
  ctx.status = status
  ctx.type = 'application/json; charset=utf-8'
  ctx.body = `${JSON.stringify(body)}\n`
}
