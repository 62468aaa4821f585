// SPDX-License-Identifier: Apache-2.0

// Package hns is the vocabulary of Windows' Host Networking Service: networks,
// endpoints, namespaces, policies, the errors HNS answers, and the Client
// through which the rest of Bulkhead sees it. It decides nothing, calls nothing
// and imports only the standard library, so every other package can share it.
package hns
