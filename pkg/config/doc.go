// SPDX-License-Identifier: Apache-2.0

// Package config turns what a runtime sends - the JSON of a network
// configuration and CNI_ARGS - into a validated Config. It checks everything
// that can be checked without asking HNS or an IPAM plugin, names the JSON path
// of what is wrong, and never touches a file, an environment variable or a clock.
//
// The file of another plugin is a dialect, which is rewritten as a native document before
// anything is read: what comes after does not know of it.
package config
