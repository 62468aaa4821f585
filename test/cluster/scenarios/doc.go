// SPDX-License-Identifier: Apache-2.0

// Package scenarios has tests of a running cluster: what its users do and what befalls it,
// and what Bulkhead must make of it in HNS. scripts/cluster.sh test runs them.
package scenarios
