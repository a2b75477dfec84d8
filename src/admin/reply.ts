// How an answer goes out: always JSON, with a newline at its end.
import type { ParameterizedContext } from 'koa'
import type { Json, JsonObject } from '../base/json.ts'

const jsonType = 'application/json; charset=utf-8'

export function send(ctx: ParameterizedContext, status: number, body: JsonObject | readonly Json[]): void {
  ctx.status = status
  ctx.type = jsonType
  ctx.body = `${JSON.stringify(body)}\n`
}

/** 200 without a body, as 0.8 answers where there is nothing to tell; the type is that of every answer. */
export function sendNothing(ctx: ParameterizedContext): void {
  ctx.status = 200
  ctx.type = jsonType
  ctx.body = ''
}
