// SPDX-License-Identifier: Apache-2.0

// Package offspring ends the processes that this one started when it ends, however that
// comes: a plugin that was killed must leave none that goes on with what nobody waits for.
package offspring
