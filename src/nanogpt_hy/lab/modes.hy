"Whether a model trains: only while it does, layers like dropout drop something out."

(import  contextlib [contextmanager])

(defn [contextmanager] asleep [layers]
  "While it lasts nothing drops out; after it each of LAYERS is in the mode that it was in."
  (setv awake (lfor  layer layers  :if layer.training  layer))
  (for [layer awake]
    (setv layer.training False))
  (try
    (yield)
    (finally
      (for [layer awake]
        (setv layer.training True)))))

(defn in-eval-mode [model]
  "A context in which MODEL is in evaluation mode; see `asleep`."
  (asleep (list (.modules model))))
