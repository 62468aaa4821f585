// SPDX-License-Identifier: Apache-2.0

// Package reports tries what users of Windows nodes reported of CNI plugins on Bulkhead:
// TestReportNN is the report of that number, here or beside the code that it is about.
// Those here run the plugin in the process of the test, and bulkhead.exe under Wine.
package reports
