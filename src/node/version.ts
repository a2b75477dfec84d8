import { readFileSync } from 'node:fs'
import { codeOf } from '../base/errors.ts'

/** Troop's own version, e.g. `0.1.0`, from the package that this file is in. */
export function packageVersion(): string {
  // Two folders up in a checkout, three in the published package, which has this file in dist/src/node.
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
    }
  }
  throw new Error('package.json is missing: the installation is broken')
}
