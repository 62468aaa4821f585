// SPDX-License-Identifier: Apache-2.0

// Package hnsemu emulates Windows' Host Networking Service at the level where
// real clients touch it: the exported functions of computenetwork.dll and
// vmcompute.dll, with their JSON documents, HRESULTs and texts. It follows what
// HNS is known to do, never what a test would like it to do, and it never
// touches the network of the machine it runs on.
package hnsemu
