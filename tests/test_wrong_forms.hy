"Every wrong form in the collection is caught, by the check meant for it and with the words meant."

(import  pytest
         hy
         torch
         nanogpt-hy.course :as course
         nanogpt-hy.lessons.checks [CHECKS]
         nanogpt-hy.lessons.checks.attention [check-many-heads]
         nanogpt-hy.lessons.checks.basics [CheckFailed]
         nanogpt-hy.lessons.checks.causality [check-causal]
         nanogpt-hy.lessons.checks.dropout [check-attention-dropout]
         wrong-forms [HeadWith WRONG attend-many weigh-zeros-masked])

;; the checks that no piece of the course has to itself, with a right form for each
(setv OTHERS {"many-heads"        #(check-many-heads attend-many)
              "attention-dropout" #(check-attention-dropout course.Head)})

(defn check-of [piece]
  "-> check, right form."
  (or (.get OTHERS piece)
      #((get CHECKS piece) (getattr course (hy.mangle piece)))))

(defn [(pytest.mark.parametrize #("piece" "form" "words")
         (lfor  [name piece form words] WRONG  (pytest.param piece form words :id name)))]
      test-caught [piece form words]
  (setv [check right] (check-of piece))
  (with [failed (pytest.raises CheckFailed :match words)]
    (check form))
  (assert (not-in "\n" (str failed.value))))

(defn [(pytest.mark.parametrize "piece" (sorted (sfor  [name piece #* _] WRONG  piece)))]
      test-the-right-form-passes [piece]
  (setv [check right] (check-of piece))
  (check right))

(defn test-names-are-distinct []
  (setv names (lfor  [name #* _] WRONG  name))
  (assert (= (len names) (len (set names)))))

(defn test-mask-from-scores-is-right-on-random-input []
  "What makes this form dangerous: only an input whose scores are 0 by themselves shows it."
  (torch.manual-seed 0)
  (setv right (course.Head 8 4)
        wrong (HeadWith weigh-zeros-masked course.causal 8 4)
        x     (torch.randn 5 7 8))
  (.load-state-dict wrong (.state-dict right))
  (torch.testing.assert-close (wrong x) (right x))
  (assert (.any (torch.isnan (wrong (torch.zeros 5 7 8)))))
  (with [(pytest.raises CheckFailed :match "happen to be 0")]
    (check-causal wrong 8)))

(defn test-checks-leave-the-generator-alone []
  (setv before (torch.get-rng-state))
  (for [[name check] (.items CHECKS)]
    (check (getattr course (hy.mangle name)))
    (assert (torch.equal before (torch.get-rng-state)) name)))
