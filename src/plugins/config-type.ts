// What TypeScript knows of a configuration, from the table of its fields: no cast, and no word that there is not.
import type { JsonObject } from '../base/json.ts'
import type { Field, Fields } from '../entities/define.ts'

/**
 * What a configuration holds once it was checked. An attribute that is neither required nor has a default may be absent.
 * Of a table that is not written where it is used, so that its words are not known, it is any JSON.
 */
export type ConfigOf<F extends Fields> = string extends keyof F
  ? JsonObject
  : { readonly [Name in keyof F as IsSure<F[Name]> extends true ? Name : never]: ValueOf<F[Name]> } & {
      readonly [Name in keyof F as IsSure<F[Name]> extends true ? never : Name]?: ValueOf<F[Name]>
    }

type ValueOf<F extends Field> = F extends { readonly type: 'number' | 'timestamp' }
  ? number
  : F extends { readonly type: 'boolean' }
    ? boolean
    : F extends { readonly type: 'array' }
      ? readonly WordOf<F>[]
      : F extends { readonly type: 'table' }
        ? TableOf<F>
        : WordOf<F>

type WordOf<F extends Field> = F extends { readonly enum: readonly (infer Word extends string)[] }
  ? Word
  : string

type TableOf<F extends Field> = F extends { readonly fields: infer Inner extends Fields }
  ? ConfigOf<Inner>
  : F extends { readonly each: infer Each extends Fields }
    ? { readonly [key: string]: ConfigOf<Each> }
    : JsonObject

type IsSure<F extends Field> = F extends { readonly required: true }
  ? true
  : F extends { readonly default: infer Given }
    ? Given extends (...args: never[]) => infer Made
      ? undefined extends Made
        ? false
        : true
      : true
    : false
