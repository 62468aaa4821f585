// SPDX-License-Identifier: Apache-2.0

// Program empty does nothing: what it takes to run is what Wine and Go take.
package main

func main() {}
