"The project's own notation: the only macros. Read this first.

(deflayer Name [sizes …]
  \"docstring\"
  [part (nn.Linear …)
   …]
  (forward [self x] …))

is a torch module. It saves writing `super().__init__()` and the `self.` of the parts, nothing else:
the parts are made in the order written, and in that order they draw their random weights."

(defmacro deflayer [name sizes doc parts #* methods]
  "Define the nn.Module NAME: made from SIZES, holding PARTS (name and value in pairs), with
  METHODS."
  (setv names (cut parts None None 2)
        values (cut parts 1 None 2))
  `(defclass ~name [nn.Module]
     ~doc
     (defn __init__ [self ~@sizes]
       (.__init__ (super))
       ~@(gfor [part value] (zip names values) `(setv (. self ~part) ~value)))
     ~@(gfor method methods `(defn ~@method))))
