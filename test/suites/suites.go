// SPDX-License-Identifier: Apache-2.0

//go:build integration

package suites

// hnslib is hcsshim's hcn as a module of its own: kube-proxy uses it. Its suite
// is the emulator's second judge beside hcsshim's, which the product brings
// along.
import _ "github.com/Microsoft/hnslib/hcn"
