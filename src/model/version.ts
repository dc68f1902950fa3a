// The version of this build: the bundler puts it in; run from source there is none.
declare const FAIRLEAD_VERSION: string | undefined;

export const version = typeof FAIRLEAD_VERSION === 'undefined' ? '0.0.0-source' : FAIRLEAD_VERSION;
