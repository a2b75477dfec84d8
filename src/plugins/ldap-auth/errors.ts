import { TroopError } from '../../base/errors.ts'

/** A directory could not be asked whether a name and a password are right, or did not say: that is not known. */
export class DirectoryAway extends TroopError {
  constructor(directory: string, cause: unknown) {
    super('directory-away', `the directory at ${directory} does not say whether credentials are right`, {
      cause,
    })
  }
}
