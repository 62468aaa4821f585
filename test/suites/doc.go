// SPDX-License-Identifier: Apache-2.0

// Package suites keeps in go.mod the integration suites that scripts/hcn-suite.sh
// runs against the emulator and that no other code needs. It imports them under
// the suites' own build tag, so they are part of no build, and go mod tidy keeps
// what they are made of.
package suites
