"What the tests of chains share: chains to try laws on, tokens of a text, errors of one line."

(import  math [isclose]
         re
         numpy :as np
         pytest
         hypothesis [strategies :as st]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.data.markov [Chain])

(defn [st.composite] weights [draw n]
  "n probabilities, zeros among them."
  (setv parts (draw (.filter (st.lists (st.integers 0 4) :min-size n :max-size n) any)))
  (lfor  p parts  (/ p (sum parts))))

(defn [st.composite] chains [draw [longest 6]]
  (setv letters (st.characters :exclude-characters "\n" :exclude-categories ["Cs"])
        chars   (draw (st.lists letters :min-size 1 :max-size 3 :unique True))
        n       (len chars))
  (Chain (.join "" chars)
         (draw (weights n))
         (lfor  _ chars  (draw (weights n)))
         (draw (st.integers 1 longest))))

(defn ids-of [text]
  (setv codes (np.frombuffer (.encode text "utf-32-le") "<u4"))
  (get (np.unique codes :return-inverse True) 1))

(defn near [x y [within 1e-9]]
  (isclose x y :rel-tol 0 :abs-tol within))

(defn refused [#* words]
  "A context that wants a RequestError of one line with these words in it."
  (pytest.raises RequestError :match (+ "^" (.join "" (gfor  w words  f"(?=.*{(re.escape w)})"))
                                        "[^\n]*$")))
