// SPDX-License-Identifier: Apache-2.0

// Package acl decides which port ACLs a pod's endpoint carries: from the
// network's driver and the pod's isolation to an ordered list of rules for each
// enforcement point. It is pure, knows neither configuration nor client, and
// never leaves a Switch set without a tail in both directions.
package acl
