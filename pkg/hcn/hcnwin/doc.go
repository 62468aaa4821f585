// SPDX-License-Identifier: Apache-2.0

// Package hcnwin opens the HNS of this machine. It binds the functions of
// computenetwork.dll and vmcompute.dll that every pod's start waits for, and leaves
// to hcsshim what is rare: to create and to delete networks and namespaces. hcsshim
// looks an object up in a list where its id is known, and queries it after every
// change: four of 24 native calls of a pod's ADD. What is called when is up to
// package hcn.
//
// No other package of the product imports hcsshim.
package hcnwin
