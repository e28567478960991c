"The project's own notation: the only macros. Read this first.

(deflayer Name [sizes …]
  \"docstring\"
  [part (nn.Linear …)
   …]
  (forward [self x] …))

is a torch module, in a file that has imported torch.nn as nn. It saves writing `super().__init__()`
and the `self.` of the parts, nothing else: the parts are made in the order written, and in that
order they draw their random weights.

(shapes FORM) is FORM, and prints the shape, dtype and range of every part of it.
(traced FORM) gives the same as data: a tuple of the rows and FORM's value."

(defmacro deflayer [name sizes doc parts #* methods]
  "Define the nn.Module NAME: made from SIZES, holding PARTS (name and value in pairs), with
  METHODS."
  (hy.I.nanogpt-hy/forms.check-layer name doc parts methods)
  (setv names (cut parts None None 2)
        values (cut parts 1 None 2))
  `(defclass ~name [nn.Module]
     ~doc
     (defn __init__ [self ~@sizes]
       (.__init__ (super))
       ~@(gfor  [part value] (zip names values)  `(setv (. self ~part) ~value)))
     ~@(gfor  method methods  `(defn ~@method))))

;; These two are for looking. How a form is rewritten so that it can be looked at is in tracing.hy.
;; Hy gives its compiler to a macro whose first parameter has this name.

(defmacro shapes [_hy_compiler form]
  "Evaluate FORM, each part of it once; print what every part is; the value is FORM's own."
  (hy.I.nanogpt-hy/tracing.traced-form form _hy_compiler "show"))

(defmacro traced [_hy_compiler form]
  "Evaluate FORM, each part of it once: #(rows value), a row for every part, outermost first."
  (hy.I.nanogpt-hy/tracing.traced-form form _hy_compiler "data"))
