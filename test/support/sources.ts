// The repository as text: what tidy.test.ts judges and docs.ts reads. Plain text is enough, since Biome keeps the
// form of imports and declarations.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

export const root = dirname(dirname(import.meta.dirname))

export interface Source {
  /** From the root, e.g. `src/rpc/wire.ts`. */
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

export interface Import {
  /** From the root, with its extension; packages are left out. */
  readonly path: string
  /** `import type`, or `import()` in a type. */
  readonly typeOnly: boolean
}

/** All TypeScript files below these folders. */
export function readSources(...folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
      .map((entry) => readSource(relative(root, join(entry.parentPath, entry.name)))),
  )
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, imports: importsOf(path, withoutComments(text)) }
}

function importsOf(path: string, code: string): Import[] {
  const statements = code.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'(\.[^']+)'/gm)
  const calls = code.matchAll(/\bimport\(\s*'(\.[^']+)'\s*\)/g)
  const resolved = (specifier: string) => normalize(join(dirname(path), specifier))
  return [
    ...[...statements].map(([, type, specifier]) => ({
      path: resolved(specifier as string),
      typeOnly: type !== undefined,
    })),
    ...[...calls].map(([, specifier]) => ({ path: resolved(specifier as string), typeOnly: false })),
  ]
}

/** The code with comments blanked out; what looks like one inside a text of one line is kept. */
export function withoutComments(text: string): string {
  return text.replace(
    /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\/\*[\s\S]*?\*\/|(?<![:\\/])\/\/[^\n]*/g,
    (match) => (match.startsWith('/') ? match.replace(/[^\n]/g, ' ') : match),
  )
}
