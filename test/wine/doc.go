// SPDX-License-Identifier: Apache-2.0

// Package wine lets Go tests on Linux run Windows programs against the
// emulator:
//
//	env := wine.Start(t, "2022")
//	exe := env.Build(t, "./plugins/bulkhead")
//	got := env.Run(t, wine.Cmd{Path: exe, Env: []string{"CNI_COMMAND=VERSION"}, Stdin: conf})
//
// The programs see real DLLs, test/shim, which reach the emulator in the test's
// own process, so the test breaks and inspects it through env.Host. All tests of
// a checkout share one Wine prefix, which scripts/wine.sh makes and which stops
// by itself some time after the last program.
//
// What Wine does not pass on: an exit code's upper bits, since Linux has eight;
// and PATH, TEMP and the like, which are the prefix's own. Files of this machine
// are on drive Z: see WindowsPath.
package wine
