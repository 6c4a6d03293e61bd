// Package page holds what the report's page and the live one of skiff ui share: how they look, and the time
// line with what belongs to it. They are plain files, without anything from elsewhere and without a build.
package page

import _ "embed"

// Style is the style sheet.
//
//go:embed style.css
var Style string

// Script defines what both pages are made of, for a script that comes after it.
var Script = model + timeline + panel

//go:embed model.js
var model string

//go:embed timeline.js
var timeline string

//go:embed panel.js
var panel string
