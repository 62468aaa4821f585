// SPDX-License-Identifier: Apache-2.0

// Package hcnhandle makes the native calls that each pod's ADD and DEL make, and
// keeps what it opened open. hcsshim's package hcn opens and closes an object for
// every call, looks one up by its id as it does by a name, and reads it again after
// every change: nine of 24 calls of a pod's ADD. What is rare is left to hcsshim.
//
// On Windows the calls are computenetwork.dll's, in tests those of the emulated HNS.
package hcnhandle
